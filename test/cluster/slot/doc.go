// Package slot keeps the clusters of one machine apart.
//
// Every running cluster holds a number. Whatever could collide on the host is
// derived from it: ports, the veth, the subnets, the cgroup. The number is an
// flock on a file that names the cluster's state directory, so the number of a
// cluster whose processes were killed is found free and its remains are known.
//
// Start reading at [Take]; package minder calls it, and cleans what [Stale]
// finds.
package slot
