// Package webhook asks an endpoint of the user's own for values.
//
// It goes out as the webhooks of Rotations do (internal/kube/rotate/target/outbound):
// by TLS, to no address of the operator's own machine or of its cloud's metadata, and
// to private networks only where whoever runs the operator allows them.
//
// Start reading at Kind.Generate.
package webhook
