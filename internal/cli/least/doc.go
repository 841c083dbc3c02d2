// Package least has the command least: what a role grants, what of it was used,
// and the smallest role that covers that.
//
// Start reading at Command.
package least
