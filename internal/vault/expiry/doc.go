// Package expiry remembers what ends when. It is an index in the store, ordered
// by due time, and an Expirer that walks it: nothing is loaded at start, and
// memory is bounded by one window per kind however many entries wait.
//
// Whatever ends (a token, a leased secret, the clean-up after a revocation) is a
// Ref of some Kind. The transaction that makes the thing adds its Ref; the one
// that ends it removes the Ref; when the time comes the Expirer calls the
// kind's handler in a transaction of its own. A new thing that ends is one more
// Kind and touches nothing here.
//
// Start reading at Ref, then Kind, then Expirer.
package expiry
