// Package named watches Secrets one by one, by their names. Who may list or watch the
// Secrets of a namespace may read all their values, whatever it asks for; a list or a
// watch with the field selector metadata.name needs no more than a role with
// resourceNames gives. An operator with such roles can read, by its identity too, no
// Secret but those that manifests name.
//
// Start reading at Cache.
package named
