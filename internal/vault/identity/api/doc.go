// Package api is the engine behind identity/: Vault's paths for entities,
// groups and their aliases. It is a system mount: it sees the whole store, and
// works on it through package identity.
//
// Absent on purpose are OIDC tokens and providers, and MFA; their paths are
// unknown ones.
//
// Start reading at Engine.Routes, then entity.go.
package api
