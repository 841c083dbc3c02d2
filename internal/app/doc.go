// Package app puts the program together. registry.go is the only file that
// knows every engine, auth method, store, audit device and seal; server.go
// builds the vault's server from them.
//
// Start reading at registry.go, then Server.
package app
