// Package namespace knows the tenants of a vault: a tree of namespaces, each
// with mounts, policies, tokens and leases of its own (facts §2.1, §2.5).
//
// A namespace is a stored Entry. Registry keeps an immutable Table of all of
// them, which is what every request is routed by; what belongs to a namespace
// lies with those who keep it (mounts, policies, tokens), under the namespace's
// ID, which no other namespace ever gets. See docs/adr/0005-namespaces.md.
//
// Start reading at Entry, then Table.Find, then Registry.
package namespace
