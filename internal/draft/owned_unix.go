//go:build unix

package draft

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// owned gives f the owner and group of another file. Who is not in a group cannot give
// it, which is no error where the group has no rights.
func owned(f *os.File, other fs.FileInfo) error {
	own, err := f.Stat()
	if err != nil {
		return err
	}
	was, is := other.Sys().(*syscall.Stat_t), own.Sys().(*syscall.Stat_t)
	if was.Uid == is.Uid && was.Gid == is.Gid {
		return nil
	}
	err = f.Chown(int(was.Uid), int(was.Gid))
	switch {
	case err == nil || was.Uid == is.Uid && other.Mode().Perm()&0o070 == 0:
		return nil
	case was.Uid != is.Uid:
		return fmt.Errorf("giving it to its owner, user %d: run this as that user or as root: %w", was.Uid, err)
	}
	return fmt.Errorf("giving it to its group %d, which has rights in it: run this as root: %w", was.Gid, err)
}
