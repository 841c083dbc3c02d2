// Package fake is a provider whose secrets stand in the store object itself:
// for trying things out and for tests. Nothing in it is secret.
//
// Start reading at Settings.
package fake
