// Package control reads what users give of a control plane: an
// EncryptionConfiguration and an audit policy. Both are taken as the API server
// takes them, by its own types and decoders. Keys are dropped at once; what is
// kept of an EncryptionConfiguration is who encrypts what, in which order.
//
// Start reading at Encryption and AuditPolicy.
package control
