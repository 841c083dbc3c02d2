// Package lease keeps what was lent: a record for each secret that an engine
// takes back. A Manager makes, renews and revokes them in the transactions of
// requests; those whose time has come, or whose token ended, are ended by the
// Kinds that it gives to package expiry, one for each mount.
//
// Start reading at Record, then Manager.
package lease
