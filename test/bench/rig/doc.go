// Package rig is what all benchmarks stand on: the program under test, built
// and run in a process of its own on two cores, a vault to ask, and what the
// operating system says of a process.
//
// Start reading at Prepare, then Rig.StartDev.
package rig
