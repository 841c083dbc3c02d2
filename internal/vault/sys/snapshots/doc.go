// Package snapshots serves what is below sys/storage: snapshots of the whole vault.
//
// Start reading at Routes.
package snapshots
