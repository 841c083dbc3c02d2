// Package cluster is how commands reach a Kubernetes cluster: the flags by which
// people name it, a client for the objects we know, and API errors in words that
// say what to do next.
//
// Start reading at Flags.
package cluster
