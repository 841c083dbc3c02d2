// Package hashing replaces values that may be secret by keyed hashes: single
// strings, and every string in a JSON value.
//
// Start reading at Hasher, then State.
package hashing
