// Package box is the one place where the seal encrypts: AES-256-GCM with a
// random nonce behind a version byte. The keyring's entries, the keyring
// itself and the wrapped root keys are all boxes, under different keys and
// with different associated data.
//
// Start reading at Box.
package box
