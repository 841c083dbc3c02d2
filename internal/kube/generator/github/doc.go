// Package github asks GitHub for tokens of an App's installation.
//
// Start reading at Kind.Generate.
package github
