// Package control runs the control plane of a cluster: etcd, the API server,
// the controller manager and the scheduler, as processes of the host.
//
// It needs no privilege. etcd listens on loopback, the API server on an address
// given to it. Start reading at [Start].
package control
