// Package sec02 asks whether the key that Secrets are encrypted with lies outside
// the cluster, in a KMS. A key in a file beside the API server is none.
//
// Start reading at Check.
package sec02
