// Package controllers has the flags of what the operator runs: STRONGKEEP_* variables
// have the same names.
//
// Start reading at Flags.
package controllers
