// Package connection is how the operator reaches API servers of others: what it takes
// of a kubeconfig that somebody wrote whom it serves, and the client that reaches the
// server and nobody else.
//
// Start reading at Kubeconfig, then Client.
package connection
