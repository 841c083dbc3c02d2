// Package nodes runs the commands of docs/operations/nodes.md: real processes on a real etcd.
package nodes
