// Package vaulttest is a small hand-written server that answers the dozen
// endpoints of Vault's HTTP API the vault provider uses, for tests that count
// requests, revoke tokens or break things. It is spoken to by the official client.
//
// Start reading at Server.
package vaulttest
