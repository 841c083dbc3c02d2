// Package attest has the signed statements of the evidence engine: the envelope,
// what is in it, and how an auditor verifies it without the vault. It is below
// the vault and the cluster, and imports neither.
//
// The envelope is DSSE v1.0 (github.com/secure-systems-lab/dsse, protocol.md and
// envelope.md) with Ed25519 (RFC 8032):
//
//	{"payloadType":"…","payload":"<base64>","signatures":[{"keyid":"…","sig":"<base64>"}]}
//
// What is signed is PAE(payloadType, payload), so that neither can be taken for
// something else, and no canonical form of JSON is needed. A key's ID is the
// SHA-256 of its SubjectPublicKeyInfo in hex; it only finds the key.
//
// Statements of one name are a chain: each holds the SHA-256 of the payload
// before it. Who has verified number N knows that 1 to N-1 are what they were. That
// nothing was cut off at the end only somebody can know who has seen the end: a
// Rotation's status, or another auditor.
//
// Start reading at Verify.
package attest
