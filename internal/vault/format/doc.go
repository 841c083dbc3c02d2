// Package format says in which form a store is written, and which programs may
// use it: one entry, plain JSON below the sealing, so that it can be read before
// anything else is, by a sealed server and by hand.
//
//	core/format        {"written":1,"reader":1,"program":"0.1.0"}
//	core/format-join   rewritten by each node that opens a shared store
//
// A store without the entry is in format 1. Every program reads the two formats
// before its own, and goes on writing the form that it finds until every node
// that lives can read the newer one: then who leads switches it on, by one
// guarded write. Until then the program of before may come back.
//
// A node is on the roster and has rewritten core/format-join before it looks at
// core/format; the switch is made on condition that core/format-join has not
// changed since before the roster was read. So of a switch and a node that opens
// the store, one comes first: the node sees the switch, or the switch the node.
// A node that was silent for so long that it was not counted learns of it by
// looking again, and serves nothing any more. Who lives is known by the watch, which
// may be behind: so core/format-join must have been the same for longer than a node
// that is Current can be behind.
//
// Start reading at Program.Check.
package format
