// Package interleaving has processes work over one store and one outside system, of which one step at
// a time is made, whichever the seed says. A step is a read or commit in the store, or one call of the
// outside system. Between any two the process may stop for minutes or for good.
//
// Start reading at Model.
package interleaving
