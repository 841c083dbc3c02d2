// Package providertest is the conformance suite that every provider passes.
//
// Start reading at Run.
package providertest
