// Package token is the work of strongkeep-pkcs11: it loads a vendor's PKCS#11 module
// into its own process, logs in to one token, and encrypts and decrypts under one key for
// the process that started it (pkcs11/helper), over a socket that it was given.
//
// It needs cgo, and nothing else of Strongkeep may import it or the binding: the main
// program stays static, and no vendor's code shares memory with the keys of a vault.
//
// Start reading at Main.
package token
