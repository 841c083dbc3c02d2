// Package conform asks a KMS v2 plugin at its socket, ours or another's, as an API
// server asks it, and as none should.
//
// It knows nothing of how a plugin works. Start reading at Check.
package conform
