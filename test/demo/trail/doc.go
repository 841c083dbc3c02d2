// Package trail reads an audit log and says who did what.
//
// Start reading at [Read].
package trail
