//go:build unix

package credential

import (
	"io/fs"
	"os"
	"slices"
	"syscall"
)

// ofRoot reports whether a file is root's, and of a group that this process is in.
func ofRoot(info fs.FileInfo) bool {
	s, is := info.Sys().(*syscall.Stat_t)
	if !is || s.Uid != 0 {
		return false
	}
	groups, err := os.Getgroups()
	return err == nil && slices.Contains(append(groups, os.Getegid()), int(s.Gid))
}
