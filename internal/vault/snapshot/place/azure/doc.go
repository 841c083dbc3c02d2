// Package azure keeps snapshots in a container of Azure Blob Storage.
//
// Start reading at Open.
package azure
