// Package azuretest is Azure in the tests: one Key Vault, with the challenge that the
// SDK answers, Microsoft Entra, which gives tokens, and the metadata service of a node,
// all behind one address.
//
// Start reading at New.
package azuretest
