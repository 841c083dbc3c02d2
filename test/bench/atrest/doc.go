// Package atrest measures what is promised about encryption at rest, against a
// real API server and its etcd: reading and judging 100,000 values of etcd; having
// Secrets that are in the clear rewritten, against a client that only updates as many
// at once as it can; and how much longer others wait meanwhile.
//
// Start reading at Measure.
package atrest
