// Package archive keeps snapshots in files, so that questions can be asked of one
// without the cluster, later, or by somebody else.
//
// A file is gzip of one JSON object:
//
//	{"schema": "strongkeep.io/snapshot/v1", "snapshot": {…}}
//
// schema comes first, and names the shape of the rest: of another one nothing is
// read. There is no value of a secret in it; the fingerprints say nothing without
// their key.
//
// Start reading at Write and Read.
package archive
