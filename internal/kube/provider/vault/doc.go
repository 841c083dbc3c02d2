// Package vault reads and writes KV v1 and v2 secrets of Strongkeep, or of any server that
// speaks Vault's HTTP API, with the official client.
//
// One store has one login, made when first needed, renewed after two thirds of
// its time, and made anew when the server no longer knows it. Changes arrive by
// sys/events/subscribe where the server has it.
//
// Start reading at Settings, then store.Read.
package vault
