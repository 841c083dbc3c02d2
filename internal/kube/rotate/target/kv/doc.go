// Package kv rotates a value at a KV v2 path: properties that are made anew, by
// a password policy of the vault or as letters and digits.
//
// Start reading at Kind.
package kv
