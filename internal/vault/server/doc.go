// Package server is the HTTP wire of the vault: it decodes a request, hands it
// to the gate, and encodes the answer exactly as Vault's clients expect it.
// Nothing is decided here.
//
// Besides, it answers the few paths that must work while the vault is sealed
// (sys/init, sys/seal-status, sys/unseal, sys/health, sys/leader) and the
// event subscription, which is a WebSocket.
//
// Start reading at Handler.ServeHTTP, then decode.go and encode.go.
package server
