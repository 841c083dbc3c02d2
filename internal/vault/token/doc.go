// Package token makes, finds, renews and revokes the tokens of the vault.
//
// A service token is a random string; the store knows only a keyed hash of it.
// A batch token carries its own entry, sealed, and costs no write. Every
// function works on the transaction of the request that calls it, so that a
// login with all its traces is one commit.
//
// Tokens form trees. A token is valid only while every token above it is: to
// revoke a tree is to delete its root, whatever hangs below is dead in the same
// moment and swept up later by the lease.Kinds of a Manager.
//
//	token/id/<key>               an Entry; key = HMAC-SHA256 of the token, base64url
//	token/accessor/<hash>        accessor and key, to look up and to list
//	token/child/<parent>/<key>   a mark, to find what hangs below
//	lease/due/token…             when it ends, see package expiry
//
// Start reading at Manager, then Entry; grant.Request.Decide and Lifetime.Resolve are the
// rules, as pure functions.
package token
