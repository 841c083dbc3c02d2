// Package mount is the secrets and the auth command: what is mounted where,
// and how it is tuned.
//
// Start reading at Commands.
package mount
