// Package figure holds what was measured against its bound, and shows it to
// people and programs.
//
// Start reading at AtLeast.
package figure
