// Package enginetest runs engines the way the gate does, over a store in
// memory, and holds the suite that every engine passes.
//
// Harness is for an engine's own tests: it sends requests, decides create from
// update, commits, and hands out events and what is stored. Run is the suite:
// it repeats a list of requests in ways that break the contract's promises if
// they can be broken.
//
// Only tests import it. Start reading at Run, then Harness.
package enginetest
