// Package rootkey is the root key of a vault as storage has it: wrapped once for people, by a key that they share, and
// once by each unseal key; each wrapping opens the vault alone.
//
// Start reading at Config.
package rootkey
