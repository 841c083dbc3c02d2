// Package plane makes records of the control plane: how API servers were started, what
// their metrics say of encryption, and which cloud runs them.
//
// Start reading at Server and Metrics.
package plane
