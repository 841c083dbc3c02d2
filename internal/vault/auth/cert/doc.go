// Package cert is the auth method of those who have a TLS client certificate:
// one that a trusted CA signed, or that is trusted itself, and that fits what a
// role asks for: names, DNS, e-mail and URI SANs (SPIFFE IDs), units, extensions.
//
// The wire asks clients for a certificate and lets TLS prove that they hold its
// key; whom to believe is decided here, at login and at every renewal.
//
//	role/<name>   role, JSON
//	crl/<name>    crl, JSON
//	config        config, JSON
//	anchor/…      which roles trust what: see index.go
//
// Start reading at Engine.login, then role.trusts.
package cert
