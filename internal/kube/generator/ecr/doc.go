// Package ecr asks AWS for logins to its container registries.
//
// Start reading at Kind.Generate.
package ecr
