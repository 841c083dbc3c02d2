// Package consumer finds who uses a credential: from where it lives in a store,
// over the Secrets that are fed from it, to the pods that use those and what
// owns the pods. It says which sources it could not ask, and never assumes
// that what it does not see is not there.
//
// Start reading at Graph.
package consumer
