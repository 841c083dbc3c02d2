// Package iam logs in to a vault's method aws as who one is in AWS: a request to STS
// is signed, and the vault sends it to learn who signed.
//
// Start reading at Settings, then Login.
package iam
