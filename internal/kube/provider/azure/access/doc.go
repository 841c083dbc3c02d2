// Package access is how a store comes by access tokens of Microsoft Entra, and the
// only way by which its requests leave: to its vault and to the services that give
// tokens.
//
// Start reading at Client.
package access
