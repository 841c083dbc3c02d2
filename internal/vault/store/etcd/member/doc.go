// Package member runs a member of an etcd cluster in this process: several servers form
// a cluster of their own, without any other component (docs/adr/0011-many-nodes.md).
//
// # Who may be a member
//
// Whoever has the cluster key: 32 bytes, the same on each node. An Ed25519 CA is made of
// it, each node issues itself a certificate, and the one port on which members meet talks
// to nobody who has none. The key opens no vault.
//
// # How a cluster comes about, and why never two of one list
//
// A node with an empty directory makes a random birth and keeps it there. It goes on in
// one of three ways:
//
//   - All nodes of the list answer that they are new. Their births are written down, and
//     the hash of list and births names the cluster: etcd's ids, of the cluster and of the
//     members, are made of it. The record is durable before etcd starts.
//   - One answers that it has written down a cluster, with this node's birth in it: this
//     node writes down the same.
//   - One answers with a cluster that does not know this birth: the node's disk was lost,
//     or it is new in the list. It asks to be taken in, and is a learner of that cluster
//     under a new id.
//
// So a member's id goes with one disk: who lost its disk has another birth, and can never
// take part under its old id with an empty log, which would let a majority forget what it
// had acknowledged. A node takes part in one cluster only, the one that it has written
// down, and a majority of a list has a node in common with any other majority of it: of
// two clusters of one list at most one has a leader. What may happen is that one node has
// written down a cluster whose other births are gone. It then waits, and says so.
//
// A member is removed for a node that lost its disk only if that node answers at the
// member's address under the new birth, and etcd removes it only with a majority.
//
// # Serving while etcd starts
//
// The client of a node goes by another member until its own has caught up: package relay.
//
// # Files
//
//	DIR/cluster.json   what the node has written down (record)
//	DIR/lock           held by the process that runs the node
//	DIR/tls/ca.pem     the CA, DIR/tls/member.pem the node's certificate and its key
//	DIR/etcd           etcd's
//
// Start reading at Open, then Member.found and Member.admit.
package member
