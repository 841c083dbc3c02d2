// Package adoption makes a vault the source of Secrets that are there already, and
// of their copies: the values are written into the vault, it is proven that a store
// gives the same bytes back, and only then ExternalSecrets merge into the Secrets.
// No Secret is deleted, made anew or written with another value.
//
// Start reading at Adopter.Plan, then Adopter.Apply.
package adoption
