//go:build unix

package serve

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// socket is a listener at a path that is ours for as long as the lock is held.
type socket struct {
	net.Listener
	path string
	lock *os.File
	ino  uint64
}

// listen makes the socket at path. What is there is replaced if it is a socket at
// which nobody answers. It is made under another name and gets its rights there, so
// that it never stands at path with others. Kinds: Denied (the directory is
// others' too), Exist (somebody serves there), Invalid, Unavailable.
func listen(ctx context.Context, path, group string) (_ *socket, err error) {
	dir := filepath.Dir(path)
	if err := CheckDirectory(dir); err != nil {
		return nil, err
	}
	s := &socket{path: path}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.lock, err = lock(path + ".lock"); err != nil {
		return nil, err
	}
	if err := vacant(ctx, path); err != nil {
		return nil, err
	}
	own, err := os.MkdirTemp(dir, ".kms") // 0700
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "making the socket: %w", err)
	}
	defer func() { _ = os.RemoveAll(own) }()
	first := filepath.Join(own, "s")
	l, err := new(net.ListenConfig).Listen(ctx, "unix", first)
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "making the socket: %w", err)
	}
	s.Listener = l
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := permit(first, group); err != nil {
		return nil, err
	}
	if s.ino, err = inode(first); err != nil {
		return nil, err
	}
	if err := os.Rename(first, path); err != nil {
		return nil, errs.Newf(errs.Unavailable, "putting the socket in its place: %w", err)
	}
	return s, nil
}

// Close ends listening and removes the socket if it is still ours.
func (s *socket) Close() error {
	var all []error
	if s.Listener != nil {
		if err := s.Listener.Close(); !errors.Is(err, net.ErrClosed) {
			all = append(all, err)
		}
	}
	if s.lock == nil {
		return errors.Join(all...)
	}
	if ino, err := inode(s.path); err == nil && ino == s.ino && s.ino != 0 {
		all = append(all, os.Remove(s.path))
	}
	all = append(all, s.lock.Close()) // the file stays: who removes it would unlock another's
	s.lock = nil
	return errors.Join(all...)
}

// CheckDirectory refuses a directory in which others could put a socket of theirs in
// the place of ours. Kinds: NotExist, Denied, Invalid.
func CheckDirectory(dir string) error {
	real, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return errs.Newf(errs.NotExist, "the socket's directory %s is not there: run mkdir -m 0755 %s, or set RuntimeDirectory= in the unit", dir, dir)
	}
	if err != nil {
		return errs.Newf(errs.Unavailable, "looking at the socket's directory: %w", err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return errs.Newf(errs.Unavailable, "looking at the socket's directory: %w", err)
	}
	if !info.IsDir() {
		return errs.Newf(errs.Invalid, "%s is no directory", dir)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	switch {
	case owner != 0 && int(owner) != os.Geteuid():
		return errs.Newf(errs.Denied, "the socket's directory %s belongs to user %d, who could put another socket into it: run chown %d %s", dir, owner, os.Geteuid(), dir)
	case info.Mode().Perm()&0o022 != 0:
		return errs.Newf(errs.Denied, "the socket's directory %s is writable to others (mode %#o), who could put another socket into it: run chmod go-w %s", dir, info.Mode().Perm(), dir)
	}
	return nil
}

// lock holds a file so that of two plugins with one socket the second one ends.
func lock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "locking the socket: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, errs.Newf(errs.Exist, "another plugin serves at this socket and holds %s: end it, or choose another socket", path)
	}
	return f, nil
}

// vacant refuses what is no socket, and a socket at which somebody answers.
func vacant(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return errs.Newf(errs.Unavailable, "looking at the socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return errs.Newf(errs.Exist, "%s is there, and is no socket: remove it, or choose another path", path)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		_ = c.Close()
		return errs.Newf(errs.Exist, "something else serves at %s: end it, or choose another socket", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, fs.ErrNotExist) {
		return errs.Newf(errs.Unavailable, "asking whether anybody serves at the socket: %w", err)
	}
	return nil
}

// permit gives the socket to its owner alone, or to a group too.
func permit(path, group string) error {
	mode := fs.FileMode(0o600)
	if group != "" {
		gid, err := groupID(group)
		if err != nil {
			return err
		}
		if err := os.Chown(path, -1, gid); err != nil {
			return errs.Newf(errs.Denied, "giving the socket to group %q: %w", group, err)
		}
		mode = 0o660
	}
	if err := os.Chmod(path, mode); err != nil {
		return errs.Newf(errs.Unavailable, "setting the socket's rights: %w", err)
	}
	return nil
}

func groupID(name string) (int, error) {
	if gid, err := strconv.Atoi(name); err == nil && gid >= 0 {
		return gid, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, errs.Newf(errs.Invalid, "socket_group %q: there is no such group", name)
	}
	return strconv.Atoi(g.Gid)
}

func inode(path string) (uint64, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return 0, errs.Newf(errs.Unavailable, "looking at the socket: %w", err)
	}
	return info.Sys().(*syscall.Stat_t).Ino, nil
}
