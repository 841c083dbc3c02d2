// Package providertest is the conformance suite that every provider passes: Run
// for all, RunFinder for those that search, RunFaults for what a backend does
// wrong.
//
// Start reading at Run.
package providertest
