// Package access is how a store comes by access tokens of Google: whose they are, and
// by which exchanges. The package login keeps them.
//
// Start reading at Workload.Source.
package access
