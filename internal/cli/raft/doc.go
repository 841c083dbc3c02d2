// Package raft is "operator raft": what stands elsewhere here, under the names that operators of Vault know.
//
// Start reading at Command.
package raft
