// Package placetest is the suite that every place of snapshots passes, and object stores
// that run in a test's process and speak the protocols of S3, Google Cloud Storage and
// Azure Blob. They check signatures; what they do not need for snapshots they do not know.
//
// Start reading at Run.
package placetest
