// Package saving measures snapshots of a vault with a million entries: how fast they are
// saved and restored against reading the store raw, and in how much memory.
//
// Start reading at Measure.
package saving
