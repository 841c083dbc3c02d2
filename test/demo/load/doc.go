// Package load writes to a kv engine without pause, from several goroutines,
// and remembers what was acknowledged, so that it can be asked for again after
// the server was killed.
//
// Start reading at [Start].
package load
