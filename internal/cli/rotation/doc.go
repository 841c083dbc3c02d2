// Package rotation is the "rotation" command: what people ask of Rotations, and
// what they are shown of them.
//
// It writes annotations and reads status, with the rights of who asks; the
// operator does the rest. Only evidence and provide talk to the vault.
//
// Start reading at Command.
package rotation
