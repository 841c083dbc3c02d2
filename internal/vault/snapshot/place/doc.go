// Package place is where snapshots lie: a directory, or a bucket. A snapshot has its name
// when it is whole, and not before.
//
// Start reading at Place.
package place
