// Package report has no code of its own: each folder below it writes a
// check.Report in one way.
//
// Start reading at report/table.
package report
