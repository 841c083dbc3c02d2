// Package operator runs the controllers that keep Kubernetes Secrets as
// ExternalSecrets and the external stores say.
//
// Its rooms: externalsecret and secretstore are the controllers, gather reads
// and names values, target makes and writes Secrets, manifest other objects,
// subscribe hears of changes, rbac says what the operator may do. This package wires them together.
//
// Start reading at Run.
package operator
