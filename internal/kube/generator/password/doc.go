// Package password draws passwords.
//
// Start reading at Kind.Generate.
package password
