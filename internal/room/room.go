// Package room tells how much of a disk is free.
package room

// Space is that of the disk below a directory, in bytes.
type Space struct{ Free, Total uint64 }
