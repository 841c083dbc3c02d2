// Package file keeps keys in a file: 32 random bytes each, which lie apart from
// what they encrypt, such as on another volume, in a systemd credential (sealed to
// the machine's TPM where it has one) or in a mounted Kubernetes Secret. Who has
// both the file and what was encrypted has the secrets.
//
// Start reading at Load.
package file
