// Package handover hides from a member's own client that leadership of its cluster moves:
// reads are asked again, and writes wait while a leader hands over.
//
// A member that is no leader sends its writes to the leader, and is not told when that one
// drops them, as it does while it hands over. Such a write would end seconds later, with an
// unknown outcome. Therefore writes are held on all members before a planned move.
//
// Start reading at KV.
package handover
