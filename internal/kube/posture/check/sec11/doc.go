// Package sec11 asks whether secrets can come into the logs of pipelines: scripts
// that print them, trace their commands, dump the environment, or hand on what they
// fetched without masking it, and values that stand in the pipeline itself.
//
// Start reading at Check.
package sec11
