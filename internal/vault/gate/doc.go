// Package gate is the one path that every request to the vault takes:
//
//	path and mount → token → policy → audit the request → engine → one commit → audit the answer
//
// It lies below HTTP, so that no handler can forget policy or audit. A request
// is one transaction: what the engine changes, the token a login makes and its
// place in the expiry index are committed together or not at all, and a
// conflict reruns the engine on fresh state.
//
// A request that could not be audited did not happen: the request line is
// durable before anything is committed, and the answer line before anything is
// answered.
//
// What a request goes through is an unsealed.Vault; the gate opens it, keeps it
// while it is open, and closes it.
//
// Start reading at Gate.Handle in handle.go; lifecycle.go has init, unseal and seal.
package gate
