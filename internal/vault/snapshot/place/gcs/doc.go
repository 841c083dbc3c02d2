// Package gcs keeps snapshots in a bucket of Google Cloud Storage.
//
// Start reading at Open.
package gcs
