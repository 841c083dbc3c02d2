// Package storetest is the conformance suite of store.Store. Every base store
// and every decorator runs it: what the core relies on is written here.
//
// Start reading at Run.
package storetest
