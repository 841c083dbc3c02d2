// Package encryption is the "encryption" command: what API servers keep in etcd, from
// in the clear to proven encrypted. One file a command.
//
// Start reading at Command.
package encryption
