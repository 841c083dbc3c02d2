// Package share shares the workers of a controller among groups of objects: a
// reconcile asks stores and endpoints that users of a namespace name, and these may
// take as long as they like to answer. However many objects of one group hang, those
// of others are looked at.
//
// Start reading at Share.Enter.
package share
