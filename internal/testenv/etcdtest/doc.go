// Package etcdtest runs a private etcd for tests: one for a whole test binary
// (Shared), or one of a test's own that it may kill (Start). The program is
// built from Go modules once and cached (package test/cluster/build).
//
// An etcd ends with the process that started it, however that ends: a shell
// holds one end of a pipe, and when the other end closes it kills etcd and
// removes its files.
//
// Only tests import it. Start reading at Start.
package etcdtest
