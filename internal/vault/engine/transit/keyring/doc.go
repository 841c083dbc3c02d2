// Package keyring keeps a transit engine's keys in its storage, and the index
// of those that rotate by themselves.
//
// Start reading at Load, then Change.
package keyring
