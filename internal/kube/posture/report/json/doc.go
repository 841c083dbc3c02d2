// Package json writes a report for programs: the shape of check.Report, which
// docs/checks/check.schema.json describes. Fields are only ever added to a version.
//
// Start reading at Write.
package json
