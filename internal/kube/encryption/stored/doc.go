// Package stored reads what really lies in etcd: each value's prefix, provider and
// key id, counted by resource, with the names of those in the clear. Values are
// looked at where they are and never kept, shown or decrypted.
//
// It reads a running etcd (Etcd) or the file of a snapshot (Snapshot), which needs
// neither a cluster nor a key.
//
// Start reading at Verify.
package stored
