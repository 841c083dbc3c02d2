// Package cluster is the store of a server that is a member of the servers' own etcd
// cluster (storage cluster), and what such a server has besides: routes, metrics, and the
// end of its membership. Of a server with another storage it has none of them.
//
// Start reading at Open.
package cluster
