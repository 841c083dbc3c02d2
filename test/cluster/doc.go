// Package cluster runs a real Kubernetes for development and tests: etcd, API
// server, controller manager and scheduler and, if wanted, a node with
// containerd, kubelet and kube-proxy. It is built from Go modules on first use;
// it needs no container engine and no registry.
//
//	c, err := cluster.Start(ctx, cluster.Config{Node: true})
//	...
//	defer c.Stop()
//	out, err := c.Kubectl(ctx, nil, "get", "nodes")
//
// Any number of clusters run side by side. A cluster ends when the process that
// started it ends, even by SIGKILL: see package minder.
//
// What is below: build makes the programs, slot numbers the clusters of a
// machine, control runs the control plane, node the node, minder all of it.
// Start reading at [Start].
package cluster
