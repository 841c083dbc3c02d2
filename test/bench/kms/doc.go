// Package kms measures the KMS v2 plugin as API servers call it: the real binary in a
// process of its own, over its socket, at a given rate, beside a plugin that does nothing.
//
// Start reading at Measure.
package kms
