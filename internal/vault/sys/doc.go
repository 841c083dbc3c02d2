// Package sys is the engine behind sys/: mounts, auth methods, policies,
// capabilities, audit devices, the keyring and what clients ask of the system
// itself. It is an engine like any other: the gate finds the token, decides by
// policy, audits and commits; only its Tx is not confined, because the system's
// state is what it changes.
//
// The paths that must work while the vault is sealed are in package server.
//
// Start reading at Engine.Routes.
package sys
