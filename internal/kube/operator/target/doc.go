// Package target makes and writes the Secret of an ExternalSecret.
//
// What belongs to an ExternalSecret is written by server-side apply under its
// own field manager. Applying with a resourceVersion makes the write conditional:
// one that no object has creates only, that of the object seen changes only
// what was seen. So no foreign Secret is ever overwritten, without a read before
// the write.
//
// A Secret carries a Mark: keyed MACs that tell, without reading the store
// again, whether its content is still what was written, and whether what it was
// made from has changed. The External Secrets Operator has an unkeyed hash of
// the content in its place, which anybody who may see the metadata can use to
// guess a weak secret offline.
//
// Start reading at Secret.
package target
