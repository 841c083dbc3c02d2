// Package diagnose looks at all that a server depends on, and changes nothing: the machine, its
// disk and clock, files and who may read them, certificates, the store, the keys that unseal, and
// a server that runs.
//
// A question that could not be asked is not answered with ok, but with "not checked". No finding
// shows a secret.
//
// Start reading at Check.
package diagnose
