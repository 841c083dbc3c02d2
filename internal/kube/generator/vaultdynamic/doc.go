// Package vaultdynamic asks a vault for credentials that the vault makes: users of
// databases, certificates, tokens.
//
// Each credential is made for a login of its own, so that a request whose answer is
// lost leaves nothing behind: the login is ended, and the vault takes back what was
// made for it. A credential that came stays good for as long as its lease and its
// login do; both are renewed, and both are ended when it is taken back.
//
// Start reading at Kind.Generate.
package vaultdynamic
