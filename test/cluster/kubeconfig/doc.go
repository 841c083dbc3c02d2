// Package kubeconfig writes the files by which clients find a cluster.
//
// Start reading at [Write].
package kubeconfig
