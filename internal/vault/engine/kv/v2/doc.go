// Package v2 is the versioned key/value engine: kv version 2.
//
// What it keeps, by key below its mount:
//
//	config         the mount's settings                     see config
//	meta/K         settings and versions of the secret K    see metadata
//	ver/K/N        the data of version N of K               format byte 1, then the JSON object as it came
//
// A read is two Gets, the first of them decoded once per revision; a write is
// two Puts, and a Delete for each version over the limit. The number of
// versions kept is bounded (MaxVersions), so that deleting a secret with all
// its versions, too, is one transaction.
//
// The metadata entry is read by every change of a secret, and a transaction is
// guarded by all it read: two writers of one secret conflict, and the second
// runs again on what the first left.
//
// Start reading at Engine.Routes, then data.go.
package v2
