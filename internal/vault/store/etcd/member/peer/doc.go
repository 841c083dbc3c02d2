// Package peer is what the nodes of a cluster ask of each other beside etcd's own, on the same
// port and by the same certificates; and what can be told of the cluster by asking so, without a
// majority, a token or an open vault.
//
// Start reading at State, then Look.
package peer
