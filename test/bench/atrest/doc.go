// Package atrest measures what is promised about encryption at rest, against a
// real API server and its etcd: reading and judging 100,000 values of etcd; having
// Secrets that are in the clear rewritten, at both paces, against a client that only updates
// as many at once as it can; how much longer others wait meanwhile; and what each object
// costs the processors.
//
// Start reading at Measure.
package atrest
