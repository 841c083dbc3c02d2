// Package sshkey draws pairs of SSH keys.
//
// Start reading at Kind.
package sshkey
