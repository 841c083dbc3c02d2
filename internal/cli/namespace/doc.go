// Package namespace is the "namespace" command: tenants with mounts, policies and
// tokens of their own.
//
// Start reading at Command.
package namespace
