// Package members serves the members of a cluster of the servers' own: sys/storage/raft/*,
// in the form that clients know. With other storage the paths are not there.
//
// Start reading at Routes.
package members
