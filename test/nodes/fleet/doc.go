// Package fleet runs the servers of one vault as processes, on an etcd of the test's: started,
// told to end, stopped and continued (SIGSTOP), each of the version that the test says.
//
// A version of this tree is the test's own binary, which Main has become the server when it is
// told so; its number and its formats (vault/format) may be others than this tree's.
//
// Only tests import it. Start reading at New.
package fleet
