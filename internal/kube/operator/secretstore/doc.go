// Package secretstore checks SecretStores and ClusterSecretStores, says in their
// status what is wrong, and begins and ends the subscriptions to their changes.
//
// Start reading at Reconciler.Reconcile.
package secretstore
