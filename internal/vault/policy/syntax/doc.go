// Package syntax reads the text of a policy, HCL or JSON, into one kind of tree
// that knows where everything stands. It knows nothing of what policies mean.
//
// Start reading at Parse, then Node.
package syntax
