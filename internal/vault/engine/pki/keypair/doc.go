// Package keypair makes, reads, writes and judges the private and public keys of
// certificates: RSA, ECDSA and Ed25519.
//
// Start reading at Generate.
package keypair
