// Package facts remembers what Secrets hold, as digests under a key that only
// this process has: enough to see that two hold the same value.
//
// Start reading at Facts.Of.
package facts
