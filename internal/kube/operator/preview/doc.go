// Package preview makes the Secret of an ExternalSecret as the operator would,
// without an operator: what is read comes from manifests in files, from a cluster
// with the rights of who asks, or from both. It writes nothing and calls no
// generator whose credentials live elsewhere.
//
// Gathering, templates and targets are the operator's own; what is here is only
// where they read from.
//
// Start reading at Maker.Secret, then Manifests.
package preview
