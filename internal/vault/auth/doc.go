// Package auth is what auth methods share: the token_* fields of their roles,
// decoded, checked, stored and shown in one way.
//
// An auth method is an engine.Engine whose login handler returns an
// engine.Auth; the gate makes the token from it, in the same transaction.
// A handler that returns an error must not return an Auth beside it, and one
// that does gets no token for it. Package authtest holds the suite of all
// methods.
//
// Start reading at Params.
package auth
