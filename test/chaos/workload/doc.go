// Package workload is the clients of the harness: what they ask, of which node, and how they note
// it.
//
// Start reading at Run.
package workload
