package node

import "golang.org/x/sys/unix"

// disks is the one below dir, in bytes.
func disks(dir string) []any {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return []any{}
	}
	size := uint64(s.Bsize)
	total, free := s.Blocks*size, s.Bavail*size
	return []any{map[string]any{"path": dir, "total": total, "free": free, "used": total - s.Bfree*size}}
}
