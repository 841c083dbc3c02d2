// Package ledger keeps what was issued and what was revoked.
//
//	cert/SERIAL            a certificate: uint8 format 1, [16]byte authority, DER
//	expiry/DAY/SERIAL      that it ends on that day (20310518, UTC): [16]byte authority
//	revoked/AUTH/SERIAL    that it is revoked: uint8 format 1, int64 when, int64 its end
//	recent/AUTH/SERIAL     the same, for delta CRLs, until a complete CRL has it
//	stale/AUTH             the CRL of the authority lacks a revocation: any value
//
// SERIAL is in hex without colons, AUTH what authority.Authority returns. Numbers
// are big-endian; times are unix seconds.
//
// Start reading at Store and Revoke.
package ledger
