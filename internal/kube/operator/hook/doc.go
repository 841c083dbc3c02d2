// Package hook takes reports of changed secrets over HTTP from whoever has a store's
// key: what Notifiers are for stores that have an event bus of their own, this is for
// all others. A report names keys and carries no value; it makes the operator read what
// it would read anyway.
//
// Start reading at Handler.
package hook
