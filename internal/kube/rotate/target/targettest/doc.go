// Package targettest is the conformance suite of target.Target. A kind gives it
// a Fixture: one credential, and ways to read and use it as others do.
//
// Start reading at Run.
package targettest
