// Package secretmanager reads, searches and writes Google Secret Manager, by the
// client of Google's own module.
//
// Start reading at Store.
package secretmanager
