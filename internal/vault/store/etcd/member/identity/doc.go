// Package identity makes what members of a cluster know each other by: a CA of the cluster
// key, the same on each node, and each node's own certificate.
//
// Start reading at New.
package identity
