// Package policyfmt is the command policy fmt: it checks policy files and writes
// them in the usual form, without a server.
//
// Start reading at Command.
package policyfmt
