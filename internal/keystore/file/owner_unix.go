//go:build unix

package file

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// give gives f the owner and the mode of another file. Its group is kept where it may
// be: who is not in it cannot give it, and a group has no rights in a key file.
func give(f *os.File, of fs.FileInfo) error {
	if err := f.Chmod(of.Mode().Perm()); err != nil {
		return err
	}
	own, err := f.Stat()
	if err != nil {
		return err
	}
	was, is := of.Sys().(*syscall.Stat_t), own.Sys().(*syscall.Stat_t)
	if was.Uid == is.Uid && was.Gid == is.Gid {
		return nil
	}
	if err := f.Chown(int(was.Uid), int(was.Gid)); err != nil && was.Uid != is.Uid {
		return fmt.Errorf("giving it to its owner, user %d: run this as that user or as root: %w", was.Uid, err)
	}
	return nil
}
