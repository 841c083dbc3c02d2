// Package leader decides which of the nodes that share a store does the background
// work, and keeps one that no longer does from writing.
//
// There is nothing but the store: no clock that nodes share, no other protocol. Two
// entries:
//
//	core/leader        who leads; written at a take-over and when the place is given up
//	core/leader-alive  written by who leads, three times in each TTL
//
// A node that has seen core/leader-alive unchanged for a whole TTL, by its own monotonic
// clock, takes over in one commit that is guarded by the revisions of both entries. Work of the
// leader is committed through a store that adds a check of core/leader's revision: whoever has
// been paused and does not know that others lead now gets nothing written.
//
// What work does outside of the store is not fenced: it has to be such that doing it twice is
// doing it once.
//
// Start reading at Elector.
package leader
