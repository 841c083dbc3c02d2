// Package kubernetes runs deploy/server/cluster.yaml on a real node.
package kubernetes
