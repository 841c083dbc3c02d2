// Package authority keeps a mount's issuers and their keys, finds them by ID, name
// or "default", and puts together the chains above them.
//
//	key/ID           JSON of Key, with the private key in PKCS #8
//	issuer/ID        JSON of Issuer, with the certificate in DER
//	config/issuers   JSON of Settings: defaults and names; every change of an
//	                 issuer or key writes it, so that two of them conflict
//	config/urls      JSON of URLs, for issuers that have none of their own
//
// Start reading at Issuer and Load.
package authority
