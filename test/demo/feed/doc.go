// Package feed follows programs that go on printing, such as kubectl get --watch,
// and notes when each item came.
//
// Start reading at [Follow].
package feed
