// Package world is what faults happen to: three nodes of one vault, three members of etcd and
// the vault that keeps the key which unseals the nodes, each on a host and a disk of its own, and
// the host of the clients.
//
// Start reading at Start.
package world
