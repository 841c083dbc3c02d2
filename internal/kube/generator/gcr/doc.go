// Package gcr gives access tokens of Google, which its container registries take.
//
// Start reading at Kind.Generate.
package gcr
