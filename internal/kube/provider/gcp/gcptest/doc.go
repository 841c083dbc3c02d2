// Package gcptest is Google in the tests: Secret Manager over gRPC, and the services
// that give tokens, with one project, all behind one address. Signatures, audiences,
// page tokens and etags are checked as Google does.
//
// Start reading at New.
package gcptest
