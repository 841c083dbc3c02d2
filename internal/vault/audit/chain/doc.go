// Package chain makes an audit log tamper-evident: every line is a leaf of a
// transparency log (RFC 6962, by golang.org/x/mod/sumdb/tlog), and now and then
// a signed checkpoint (golang.org/x/mod/sumdb/note, Ed25519) stands among the
// lines as a line of its own.
//
// A checkpoint line is JSON like the others, of type "checkpoint":
//
//	{"time":…,"type":"checkpoint","checkpoint":{"note":…,"lines":…,"edge":…,"key":…}}
//
//	note   the signed text, a checkpoint of C2SP's tlog-checkpoint:
//	         strongkeep-audit/NAME        whose log
//	         SIZE                         how many lines, from the first ever
//	         ROOT                         root of the tree over them, base64
//	         lines SUM                    SHA-256 of the member lines, decoded
//	         time RFC3339                 when it was signed
//	         closed                       only when the log was closed in good order
//	       an empty line and the signature
//	lines  8 bytes of the hash of each line since the checkpoint before, in
//	       order, base64: with them the first wrong line can be named
//	edge   the hashes of the tree's complete subtrees, largest first, base64:
//	       with them the log goes on, and is verified, from here
//	key    the public key, as note has it
//
// Checkpoint lines are no leaves themselves. What other devices are told of a
// checkpoint is a line of type "published", a leaf like any other there. Why it is so: docs/adr/0003-audit-chain.md.
//
// Start reading at Tree, then Checkpoint, then Log.
package chain
