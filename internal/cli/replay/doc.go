// Package replay is policy simulate and policy minimise: policies held against
// what the audit log says was really done.
//
// Start reading at Simulate, then Minimise.
package replay
