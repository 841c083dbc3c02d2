// Package gcpkms keeps keys in Google Cloud KMS, which encrypts for us and gives no
// key away.
//
// It signs in by the key of a service account in a file or by the machine's own
// identity; nothing of a cluster is needed for it. It needs useToEncrypt and
// useToDecrypt of cloudkms.cryptoKeyVersions, and their list.
//
// Start reading at Open.
package gcpkms
