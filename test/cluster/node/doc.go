// Package node runs a real node: containerd, kubelet and kube-proxy, in PID,
// mount, network, UTS and IPC namespaces of their own, much as a machine would.
//
// The first process of the PID namespace is this package's [Init], run by a
// process on the host that holds the [Node]. When Init dies, the kernel kills
// every process of the node, and mounts, iptables rules, CNI's namespaces and
// veths vanish with the last of them. What is left outside, a veth end and
// cgroups, is found by the cluster's number; see [Clean].
//
//	host                                    node
//	API server, etcd, your test             kubelet, containerd, kube-proxy, pods
//	10.213.N.1  skclusterN ---- veth ---- eth0  10.213.N.2
//	                                        pods 10.214.N.0/24, Services 10.215.N.0/24
//
// The host has routes to pods and Services through the node. Pods reach the
// host at 10.213.N.1, one another and Services, and nothing else. There is no
// DNS.
//
// Start reading at [Start] for the host's part and at [Init] for the node's.
package node
