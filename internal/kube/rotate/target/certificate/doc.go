// Package certificate rotates a certificate of the PKI engine with its key, and
// keeps the bundle of authorities that its clients trust a step ahead: a new
// authority is in the bundle before a certificate of it is published, and an old
// one leaves when its last certificate is revoked.
//
// Start reading at Kind, then cert.make and cert.Publish.
package certificate
