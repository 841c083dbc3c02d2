// Package queue reads a queue of Azure Storage into which Event Grid puts what happens
// in a vault.
//
// Start reading at New, and at Topics for what messages look like.
package queue
