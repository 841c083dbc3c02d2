// Package wire is how requests about certificates are read and answers written:
// the fields that many routes share, and the formats of certificates.
//
// Start reading at Input and Format.
package wire
