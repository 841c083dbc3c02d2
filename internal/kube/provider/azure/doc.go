// Package azure is the provider for Azure Key Vault. Its own part is the settings and
// whose credentials they name; the service is the package keyvault, and logging in
// the package access.
//
// Start reading at Provider.Open.
package azure
