// Package keyvault reads, searches and writes one Azure Key Vault, by the official SDK.
//
// Start reading at Store.
package keyvault
