// Package pebble is the embedded store of a single node, on
// github.com/cockroachdb/pebble.
//
// # Commits
//
// All callers of Apply that come while the disk is syncing form the next group.
// One goroutine, the committer, checks their guards against the durable state
// and the group's own earlier changes, writes one batch, waits for one sync and
// answers all of them.
//
// pebble shows a batch to readers before it is synced. Here readers use a
// snapshot taken after the last sync, so that nobody is shown what a power
// failure could take back, and nobody waits for a sync that is not his own.
//
// # Disks that fail
//
// pebble ends the process when it cannot write its log. The file system under
// it (type disk) keeps such errors from it: what the disk refuses, for want of
// space for example, is tried again until it succeeds or the store is closed.
// Meanwhile Apply answers errs.Unavailable at once and reads go on. A failed
// sync cannot be tried again, since the kernel may have dropped the data: the
// store then refuses writes until the process is restarted.
//
// # Files
//
// pebble's keys, all numbers big-endian:
//
//	0x00 "format"     4 bytes: version of this layout, 1
//	0x00 "revision"   8 bytes: revision of the last commit
//	'k' key           8 bytes: revision of the last write of key | its value
//
// Start reading at Store.Apply, then committer.commit.
package pebble
