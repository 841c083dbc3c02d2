// Package webhookcall asks endpoints that users of the operator name: requests made
// from templates over Secrets, and parts of JSON answers. The store and the generator
// of webhooks are made of it.
//
// It goes out as the webhooks of Rotations do (internal/kube/rotate/target/outbound):
// by TLS, to no address of the operator's own machine or of its cloud's metadata, and
// to private networks only where whoever runs the operator allows them.
//
// Start reading at Open, then Endpoint.Do.
package webhookcall
