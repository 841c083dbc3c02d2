// Package kubernetes is the provider for Secrets of other namespaces and clusters. It
// reads, searches and writes them as whom a store's credentials stand for, never as the
// operator: what the store may is what that account may there.
//
// A server is the operator's own API server, or one that the rules for addresses of
// others (internal/kube/rotate/target/outbound) let it reach.
//
// Start reading at Provider.Open.
package kubernetes
