// Package checktest is the suite that every check must pass, and what its tests
// are made with. Imported by tests only.
//
// Start reading at Run.
package checktest
