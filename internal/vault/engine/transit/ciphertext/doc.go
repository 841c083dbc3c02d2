// Package ciphertext encrypts and decrypts with the keys of a transit engine,
// and knows what a ciphertext looks like.
//
// Start reading at Params, then Parse.
package ciphertext
