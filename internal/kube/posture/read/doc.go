// Package read makes snapshots: of a live cluster, page by page and with no more
// rights than it is given, and of manifests.
//
// Start reading at Live and Files.
package read
