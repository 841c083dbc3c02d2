// Package claim knows which PushSecrets want which places of stores, and which of two
// holds what both want.
//
// Start reading at Claims.Set.
package claim
