// Package kubesync measures how long the operator needs for very many
// ExternalSecrets, in a real cluster and against a real vault.
//
// Start reading at Measure.
package kubesync
