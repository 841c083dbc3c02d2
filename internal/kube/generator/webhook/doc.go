// Package webhook asks an endpoint of the user's own for values, as
// internal/kube/webhookcall asks them.
//
// Start reading at Kind.Generate.
package webhook
