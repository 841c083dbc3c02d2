// Package auth is how a store logs in to a vault: what spec.provider.vault.auth says,
// and the request that it makes.
//
// Start reading at Auth, then Request.
package auth
