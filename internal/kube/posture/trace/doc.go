// Package trace finds where a credential is: every copy of it, where it comes
// from, who uses it, who gets at it, whose it is. It works on snapshots, of one
// cluster or of several that were made with the same key, and knows no value: copies
// are known by fingerprints.
//
// A credential is the smallest thing that looks like a secret: of a connection string
// the password and not the string, which has the user's name and the host in common
// with others. What tells copies from what many unrelated things have in common is
// tell.go; what is at the same places throughout is one credential with several keys.
//
// Start reading at New and Graph.Trace.
package trace
