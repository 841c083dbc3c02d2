// Package operation is what clients do with the keys of a transit engine:
// encrypt, decrypt, sign, verify, hash, one item at a time or in batches.
//
// Start reading at Routes, then work, then uses.encrypt.
package operation
