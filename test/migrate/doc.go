// Package migrate has the tests of taking over from the External Secrets Operator,
// with that operator itself: its program is built, as the programs of the cluster
// are, and runs beside ours on a real API server, with its own definitions. They
// run with `make migrate`.
//
// Start reading at TestTakeOver.
package migrate
