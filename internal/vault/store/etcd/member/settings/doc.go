// Package settings is what a server's configuration says of its cluster.
//
// Start reading at Cluster.
package settings
