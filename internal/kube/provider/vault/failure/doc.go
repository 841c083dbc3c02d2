// Package failure gives errors of Vault's client their kind, and a text that says
// what the server said and nothing of the request.
//
// Start reading at Classify.
package failure
