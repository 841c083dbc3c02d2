// Package gcp logs in to a vault's method gcp as who one is at Google: a token that
// Google, or a service account's key, has signed for this vault's role.
//
// Start reading at Settings, then Login.
package gcp
