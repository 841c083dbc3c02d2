// Package sealed decorates a store so that what lies below tells nothing:
// values are encrypted by the vault's keyring and bound to their key, and names
// are encrypted one by one, so that folders stay folders.
//
//	data/5f1c…/meta/my-app/config   →   data/<name>/<name>/<name>/<name>
//
// The first segment of a key, and everything below a plain prefix, stays as it
// is: those names are structure, keyed hashes and times. Every other segment is
// AES-SIV (RFC 5297) of the name in base64url, with the encrypted folder as
// associated data: equal names in one folder are equal, so that they can be
// found; the same name in two folders looks different.
//
// Names below encrypted folders come in the order of their ciphertexts: fixed,
// but not alphabetical.
//
// Start reading at Store, then names.go.
package sealed
