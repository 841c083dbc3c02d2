// Package proof makes the report for an auditor: what lies in etcd, what API servers and
// this node's file say of it, and which questions that answers. It is a statement to be
// signed (package book does) and read again years later, without a cluster.
//
// A report has counts, names and key ids, never a value, nor a digest of one.
//
// Start reading at Statement, then Make and Verify.
package proof
