// Package pki is the secrets engine that is a certificate authority: roots,
// intermediates, roles, certificates, revocation.
//
// Each noun has a package below: issuing decides what goes into a certificate,
// keypair holds what is known of keys, authority keeps issuers and signs, ledger
// keeps what was issued and revoked, revocation makes CRLs and answers OCSP, tidy
// removes what nobody needs any more; ca, leaf, revocation and tidy have the routes.
//
// Start reading at Engine, then leaf.Routes and ca.Routes.
package pki
