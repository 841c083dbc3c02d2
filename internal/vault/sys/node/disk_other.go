//go:build !linux

package node

// disks are not known on this system.
func disks(string) []any { return []any{} }
