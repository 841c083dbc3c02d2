// Package lock keeps a member's directory for one process.
//
// Start reading at Take.
package lock
