// Package nodes runs the commands of docs/operations/{nodes,cluster}.md: real processes, on a
// real etcd and as one.
package nodes
