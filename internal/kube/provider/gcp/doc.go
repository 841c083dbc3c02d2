// Package gcp is the provider for Google Secret Manager. Its own part is the settings
// and whose credentials they name; the service is the package secretmanager, and
// logging in the package access.
//
// Start reading at Provider.Open.
package gcp
