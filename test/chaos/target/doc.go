// Package target is what leases of the harness stand for, as users in a database do: each is made
// by a node, and has to be ended by one.
//
// Start reading at Target.
package target
