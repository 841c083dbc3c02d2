//go:build !linux

package app

// ReleaseProgram does nothing outside Linux.
func ReleaseProgram() error { return nil }
