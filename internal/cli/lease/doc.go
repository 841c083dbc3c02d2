// Package lease is the lease command: what was given for a time, by whom it
// was asked for, and how it goes on or ends.
//
// Start reading at Command.
package lease
