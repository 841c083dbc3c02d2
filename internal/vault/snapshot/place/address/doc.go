// Package address says where a place is, as people write it: s3://bucket/folder, or the
// fields of a plan.
//
// Start reading at Parse.
package address
