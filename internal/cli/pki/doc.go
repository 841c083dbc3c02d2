// Package pki is the pki command: hold a certificate authority against good
// practice, issue certificates into files, show its issuers and check what they
// signed.
//
// Start reading at Command; the checks are in checks.go.
package pki
