// Package externalsecret keeps the Secret of every ExternalSecret as its spec
// and the external store say.
//
// A reconcile gathers what is known without asking anybody (observe), decides
// from that alone (decide), does it (sync), and patches the status once. It is
// level-triggered: events only say that it is worth looking.
//
// Start reading at Reconciler.Reconcile, then decide.
package externalsecret
