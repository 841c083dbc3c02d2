// Package relay lets a node store through other members while its own does not take part:
// while etcd reads its file at the start, which takes seconds with a million entries.
//
// A Port serves etcd's own client protocol (gRPC) on the port on which members meet, to who
// has proven the cluster key there: TLS with the protocol h2 is etcd's clients, all else is not.
// A Router is the client of a store. Its calls go by one way at a time: the node's own member,
// or one other.
//
// What makes the change of ways invisible:
//
//   - A read is linearizable, by whatever member it is asked, so it may be asked again by
//     another.
//   - A write ends by the way on which it began, and is never sent twice.
//   - A watch ends when its way is left, by closing its channel without an error. Who watches
//     begins again behind the last revision it has seen; revisions are the cluster's, not a
//     member's. A sign of life is a linearizable read and a progress of the watch that stands at
//     no less: it does not matter either which member said which.
//
// Start reading at Router.
package relay
