// Package rows knows where the identities of a namespace lie in the store, which
// package identity draws, and reads them. It writes nothing.
//
// Start reading at In.
package rows
