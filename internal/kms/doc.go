// Package kms is what answers the API servers of a cluster as their KMS v2 plugin:
// it wraps the seeds with which they encrypt, by a key of a key store.
//
// It serves nobody itself (kms/serve does) and knows no store (package keystore).
// docs/adr/0010-encryption.md has the design, docs/encryption.md how it is used.
//
// Start reading at Plugin.
package kms
