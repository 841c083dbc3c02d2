// Package custom makes records of objects that are no pods, workloads, Secrets or
// ConfigMaps: what refers to Secrets (Uses), what makes them of something kept
// elsewhere (Sources), where that is kept (Stores), and policies that admit what is
// written (Admissions).
//
// A reference to a Secret is found by how its field is called, in any kind: secretName,
// secretRef, passwordSecretRef, credentialsSecret and the like. What is called
// otherwise, what a kind makes, and which kinds are asked of a cluster at all, is in
// the table: a line each.
//
// Start reading at Of; the table is Kinds.
package custom
