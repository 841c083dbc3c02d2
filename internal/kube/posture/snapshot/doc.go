// Package snapshot is what was seen of a cluster, and what could not be. It is
// data only, without a single value of a secret: checks and searches are functions
// of it. Package read makes it.
//
// Start reading at Snapshot.
package snapshot
