// Package userpass is the auth method of people without a directory: a name and
// a password, kept as bcrypt, buy a token.
//
// Names are kept in lower case. Who fails too often is locked out for a while
// (engine.Lockout, tuned per mount); the count is stored, so that a restart
// frees nobody. A name that does not exist, a wrong password and a locked user
// get the same answer after the same work (class of CVE-2025-6011); which it was
// is in the server's log.
//
//	user/<name>    user, JSON
//	failed/<name>  failures, JSON; only of users that exist
//
// Start reading at Engine.login.
package userpass
