// Package minder runs a cluster in a process of its own that ends when its
// owner does, however the owner ends.
//
// The owner, that is whoever called cluster.Start, holds a pipe to the minder's
// standard input. When the pipe closes, the minder takes the cluster down. When
// the minder itself is killed, the kernel kills its children with it, and the
// next minder on the machine removes files, cgroups and devices by the notes in
// package slot.
//
//	owner -> minder   one Spec as JSON, then nothing until the pipe closes
//	minder -> owner   Events as JSON, until the minder is done
//
// Start reading at [Run].
package minder
