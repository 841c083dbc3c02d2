// Package history is what the clients of the harness did and saw, by one clock.
//
// Start reading at Op.
package history
