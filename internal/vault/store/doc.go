// Package store is the contract of the vault's storage: an ordered map with
// transactions, durable before it answers.
//
// Keys are paths of segments joined by "/". Base stores (mem, pebble) hold
// bytes; decorators add one thing each: sealed encrypts names and values,
// cached keeps decrypted entries, fault breaks things for tests. Package
// storetest holds the suite that every one of them passes.
//
// Start reading at Store, then Txn.
package store
