// Package purge deletes what removed namespaces and mounts left behind: their leases, tokens and
// data, in many commits. Removing one is a single commit that leaves a purge key; the key goes last,
// so that what a crash left undone is found again.
//
// It is background work: it commits through the store it is given, which is fenced where there are
// other nodes, and believes no table of mounts that may be behind.
//
// Start reading at Purger.
package purge
