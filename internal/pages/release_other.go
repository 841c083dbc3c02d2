//go:build !linux

package pages

// Release does nothing outside Linux.
func Release() error { return nil }
