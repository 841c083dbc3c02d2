// Package spread keeps the ExternalSecrets of ClusterExternalSecrets and the
// PushSecrets of ClusterPushSecrets in the namespaces that these choose.
//
// What is made belongs to the object that it is made for, by its owner reference:
// nothing else is changed or deleted, and when that object goes, Kubernetes itself
// deletes what it owned. Namespaces get no finalizer.
//
// Start reading at Reconciler.Reconcile.
package spread
