// Package testenv runs the whole vault in the test's process, over real HTTP
// and TLS, for tests that speak to it as users do: with the official client.
// Only tests import it.
//
// Start reading at Start.
package testenv
