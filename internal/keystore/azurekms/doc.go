// Package azurekms keeps keys in Azure Key Vault or a Managed HSM, which wraps for us
// and gives no key away.
//
// Wrapping takes neither more than a few hundred bytes nor associated data, so each
// value has a data key of its own, which is wrapped, and is bound to its associated
// data by AES-256-GCM under that one.
//
// It signs in by the machine's managed identity or by a secret or certificate in a
// file; nothing of a cluster is needed for it. It needs keys/read, keys/wrap and
// keys/unwrap: the role Key Vault Crypto Service Encryption User.
//
// Start reading at Open.
package azurekms
