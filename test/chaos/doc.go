// Package chaos runs a vault of three real nodes, on three real members of etcd or with these
// in their own processes, or of one with the embedded store, has things go wrong by a seeded
// schedule while clients work, and checks what the clients saw against what is promised
// (docs/reliability.md).
//
// It needs root, /dev/net/tun and /dev/fuse. make chaos WORLD=cluster SCHEDULES=100 SEED=1 runs
// many; a schedule is run again by its world and seed.
//
// Start reading at Runner.
package chaos
