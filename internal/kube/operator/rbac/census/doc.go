// Package census finds which Secrets and ServiceAccounts manifests name, namespace by
// namespace, for roles that name them too (rbac.Options.Named).
//
// Start reading at Census.
package census
