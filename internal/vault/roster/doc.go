// Package roster knows which processes have a vault open: each writes an entry again and again,
// and hears of those of the others by the watch of whoever follows the store.
//
//	core/nodes/ID   leader.NodeStatus as JSON, written every five seconds, removed in good order
//
// Start reading at Roster.
package roster
