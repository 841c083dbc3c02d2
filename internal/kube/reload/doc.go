// Package reload restarts workloads whose Secrets and ConfigMaps have changed,
// when they ask for it: by strongkeep.io/reload, or by the annotations of
// Stakater's Reloader as they are.
//
// It compares what is with what was, and minds no events: a workload carries
// keyed digests of what its pods run on. So nothing is missed while the operator
// is down, and nothing restarts because it was.
//
// Start reading at Reconciler.
package reload
