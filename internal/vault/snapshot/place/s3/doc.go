// Package s3 keeps snapshots in a bucket of S3, or of what speaks its protocol.
//
// Start reading at Open.
package s3
