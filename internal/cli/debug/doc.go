// Package debug is the debug and the monitor command: what somebody who helps
// with a vault wants to see, in one file without secrets, and the log as it is
// written.
//
// Start reading at Command, then capture.go.
package debug
