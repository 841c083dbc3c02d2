// Package token is the token auth method, mounted at auth/token/: create, look
// up, renew and revoke tokens, and the roles to create them by (facts §2.4).
//
// Its mount is a system one, whose transactions see the whole store: the rules
// and the layout are those of internal/vault/token, called with that
// transaction. Tokens that clients name in bodies are secrets; no error or log
// repeats them.
//
// Start reading at Engine.Routes, then create.
package token
