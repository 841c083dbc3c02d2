// Package encryption holds the tests of the KMS plugin against real API servers and
// etcd: what lies there, how the key turns, and what goes without a plugin.
//
// Start reading at TestMain.
package encryption
