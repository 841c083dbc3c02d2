// Package certificate is where the server's TLS certificate comes from: a CA of
// its own (Issuer), or files of the operator's (Files).
//
// Start reading at Issuer.Certificate.
package certificate
