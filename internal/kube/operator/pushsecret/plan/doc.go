// Package plan says what a PushSecret writes where, from its spec, the Secrets and
// the stores, without reading or writing anything.
//
// Start reading at Of.
package plan
