// Package shelf turns credentials that readers find at a KV v2 path: what the
// kinds that publish there have in common. A kind makes the new values; the shelf
// keeps them sealed in the vault until they are published, publishes, takes back,
// closes and removes, each idempotent for a turn.
//
// What a turn needs to remember is one record at a path of its own, in the same
// mount: strongkeep-staged/ and the path (Record). Nothing of it is in
// Kubernetes.
//
// KV v2 has no transaction over two paths, so each act is told by what it finds,
// not by what it did: readers see a side when its values are there. A write names
// the version that it replaces, so of two operators one writes, and what a
// stopped one sends late is refused.
//
// Start reading at Shelf.
package shelf
