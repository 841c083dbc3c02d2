// Package atrest is the act in which Secrets that lie in etcd in the clear are encrypted, with a key that
// API server and etcd do not have, and in which that is read in etcd afterwards.
//
// Start reading at [Act].
package atrest
