// Package kms is the "kms" command: the KMS v2 plugin of API servers, and what asks
// one how it is.
//
// Start reading at Command.
package kms
