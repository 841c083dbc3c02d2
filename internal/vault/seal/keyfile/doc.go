// Package keyfile unseals a vault by a key in a file: 32 random bytes that lie
// apart from the vault's storage, such as on another volume or in a mounted
// Kubernetes Secret. Who has both the file and the storage has the secrets.
//
// Start reading at Load.
package keyfile
