// Package kv is the kv command: secrets in a kv engine, with versions. It asks
// the server which version a mount has and uses the paths of that version.
//
// Start reading at Command.
package kv
