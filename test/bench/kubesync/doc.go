// Package kubesync measures how long the operator needs for very many
// ExternalSecrets, what it holds in memory for them, and what it does when
// nothing changes, in a real cluster and against a real vault.
//
// What it needs is held against a bare client (bare.go) that writes the same
// Secrets and the same statuses, in the same cluster, before and after.
//
// Start reading at sync.go, then change.go and idle.go.
package kubesync
