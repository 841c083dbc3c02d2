// Package snapshot is the snapshot command, and operator migrate: the whole vault in a
// file, whether that is good, and where it goes.
//
// Start reading at Command.
package snapshot
