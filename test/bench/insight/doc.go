// Package insight measures what is promised about looking at a cluster, against a
// real API server that has 10,000 Secrets, 5,000 pods, 2,000 Roles and 3,000 bindings
// of 200 services in four environments: taking the snapshot, against a client that
// only lists the same objects; all checks; who gets at one Secret and at each; tracing
// one credential; and the most memory that the program holds.
//
// Start reading at Measure.
package insight
