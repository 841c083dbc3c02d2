// Package fake gives what is written into its object, for tests.
//
// Start reading at Kind.
package fake
