// Package workers calls the Work of every mount whose engine is an
// engine.Worker, each in a goroutine of its own, so that a database that does
// not answer holds up no other mount.
//
// Work is called when a mount starts, when it is woken, at the time it asked
// for, and again after growing pauses when it failed or panicked.
//
// Start reading at Crew in crew.go.
package workers
