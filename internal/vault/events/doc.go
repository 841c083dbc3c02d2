// Package events tells subscribers inside the process what changed, so that
// the wire can tell clients (sys/events/subscribe) and nobody has to poll.
//
// An event names what changed and never holds what it changed to. Publishing
// never waits for anybody. A subscriber is told of every event that fits, or
// told that it missed some, never neither: then it subscribes again and reads
// the present state.
//
// Start reading at Bus, then Subscription, then Message.
package events
