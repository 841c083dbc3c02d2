// Package recipient encrypts what the vault hands out, shares of unseal keys and root tokens, for the person
// who shall have it: for a PGP key, as other vaults do it, or for an age recipient.
//
// What comes out is binary. Handlers show it in hex and base64, and people read it with
//
//	base64 -d | gpg -d
//	base64 -d | age -d -i KEYFILE
//
// Start reading at Parse.
package recipient
