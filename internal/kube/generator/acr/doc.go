// Package acr gives tokens of Azure's container registries: a refresh token, which is
// good for all that its owner may do there, or with a scope an access token.
//
// Start reading at Kind.Generate.
package acr
