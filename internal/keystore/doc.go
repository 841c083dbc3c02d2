// Package keystore is the seam to keys that somebody else keeps: a file on
// another volume, a transit engine, a cloud's key service. They wrap small
// secrets: the root key of a vault (vault/seal), and what API servers encrypt
// Secrets with (kms).
//
// A store is a folder below this one that implements Versioned, passes
// keystoretest, and is one line in internal/app/registry.go.
//
// Start reading at Key.
package keystore
