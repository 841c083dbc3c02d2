// Package manifest makes and writes what an ExternalSecret with
// spec.target.manifest asks for: a ConfigMap, or an object of another kind, in
// place of a Secret.
//
// It is behind a switch of the operator, because such objects are read by more
// people than Secrets are, and because whoever writes an ExternalSecret uses the
// operator's rights. Kinds decides what may be written at all; what the operator's
// role does not let it write is refused by the API server besides.
//
// As with Secrets, only what is ours is written, by server-side apply under the
// ExternalSecret's own field manager, and each write names the object that was
// seen. Whether an object is still as it was written is told by its mark, which is
// made of the fields that the API server says are that manager's: what others set
// in it, and what the server fills in, is theirs.
//
// Start reading at Writer.
package manifest
