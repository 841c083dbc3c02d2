// Package process runs the programs of a cluster: each with a log file, none
// of which outlives the process that started it.
//
// Start reading at [Start].
package process
