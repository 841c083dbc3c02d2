// Package policyreport makes report objects of a check.Report: Reports of
// openreports.io or PolicyReports of wgpolicyk8s.io, one for each namespace with
// findings and one for the cluster with the answers. It is pure: package keeper
// writes them.
//
// Start reading at Make.
package policyreport
