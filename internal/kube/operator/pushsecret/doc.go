// Package pushsecret writes what Kubernetes Secrets hold to external stores, as
// PushSecrets say.
//
// It acts on states and not on events: what is to be where follows from the
// PushSecret, its Secrets and the stores as they are. What may be in a store is in
// the PushSecret's status before it is written there, when it is to be deleted one
// day; so whenever the operator ends, nothing is forgotten in a store. What was
// pushed is told from what is to be by a keyed digest in the status.
//
// Start reading at Reconciler.Reconcile.
package pushsecret
