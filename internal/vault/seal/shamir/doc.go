// Package shamir shares an unseal key among people: any threshold of them can
// have it back, fewer learn nothing about it.
//
// The sharing itself is github.com/cloudflare/circl/secretsharing over the
// scalars of ristretto255, whose arithmetic takes the same time for all
// secrets; docs/adr/0002-shamir.md says why. This package adds what a vault
// needs around it: fresh keys, the form of a share, and errors a person
// can act on.
//
// Start reading at Deal.
package shamir
