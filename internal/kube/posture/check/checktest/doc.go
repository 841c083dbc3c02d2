// Package checktest is the suite that every check must pass, and what its tests
// are made with. Imported by tests only. Below testdata are manifests for each check, in
// which it finds something and nothing; TestFixtures asks about them.
//
// Start reading at Run.
package checktest
