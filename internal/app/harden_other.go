//go:build !linux

package app

// Harden does nothing outside Linux.
func Harden() error { return nil }
