// Package check has the command check: the questions of the checklist, asked
// about a cluster or files, and answered as a table, JSON, SARIF, JUnit or a page.
//
// Start reading at Command.
package check
