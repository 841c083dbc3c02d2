// Package mem is a store in memory, for tests and for `server -dev`. Nothing
// survives Close.
//
// Readers never wait: every commit publishes a new copy-on-write tree through
// an atomic pointer.
//
// Start reading at Store.Apply.
package mem
