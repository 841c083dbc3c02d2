// Package index is what clients that ask one node after the other have been shown: X-Vault-Index.
//
// Start reading at Book.
package index
