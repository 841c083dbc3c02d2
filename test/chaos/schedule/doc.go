// Package schedule makes plans of faults from seeds: the same seed is the same plan, on any
// machine.
//
// Start reading at New.
package schedule
