// Package check finds in a history what must not be: docs/reliability.md lists what is promised.
//
// Start reading at History.
package check
