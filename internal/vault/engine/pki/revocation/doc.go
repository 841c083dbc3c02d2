// Package revocation revokes certificates and says which ones are: by CRLs, delta
// CRLs and OCSP.
//
//	config/crl               JSON of Config
//	crl/AUTH                 JSON of list: the CRLs of an authority
//	crldata/AUTH/GEN/N       part N of the DER of one CRL
//
// A revocation is committed before it is answered; CRLs are built of what is
// committed, so none is lost to a crash: ledger.Stale says that a CRL lacks one
// until a CRL that has it is in place. A CRL is written in parts, as large as a value
// may be, and takes its place with the one write of crl/AUTH; the parts of the
// one before it stay until the next, for those who are reading.
//
// OCSP answers are kept in memory under all that they say (answers.go), so that one
// from before a revocation is never found after it.
//
// Start reading at Builder.Refresh and handlers.revoke.
package revocation
