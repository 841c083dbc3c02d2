// Package path says which paths a request may have.
//
// Start reading at Check.
package path
