//go:build unix

package configure

import (
	"io/fs"
	"os"
	"syscall"
)

// owned gives f the owner that info tells.
func owned(f *os.File, info fs.FileInfo) error {
	s := info.Sys().(*syscall.Stat_t)
	return f.Chown(int(s.Uid), int(s.Gid))
}
