// Package signature signs and verifies with the keys of a transit engine, and
// names its hash functions.
//
// Start reading at Options, then ParseHash.
package signature
