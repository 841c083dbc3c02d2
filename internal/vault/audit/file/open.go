package file

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// location is a file that is to be there.
type location struct {
	dir      string // absolute
	name     string // below dir
	perm     os.FileMode
	keepMode bool // of a file that is there already
}

func (l location) path() string { return filepath.Join(l.dir, l.name) }

// opened is a file that is there.
type opened struct {
	handle
	info os.FileInfo // as it was when it was opened
	torn bool        // its last line has no end
}

// open opens the file for appending, makes it if it is not there, and refuses
// everything that is not plainly a file of ours. It looks at the way to it
// through an os.Root: what changes between looking and opening still cannot
// lead out of the directory.
func (l location) open() (_ opened, err error) {
	root, err := os.OpenRoot(l.dir)
	if err != nil {
		return opened{}, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	fresh, err := l.look(root)
	if err != nil {
		return opened{}, err
	}
	f, err := root.OpenFile(l.name, os.O_RDWR|os.O_APPEND|os.O_CREATE, l.perm)
	if err != nil {
		return opened{}, err
	}
	o, err := l.accept(root, f)
	if err == nil && fresh {
		err = syncDir(root, filepath.Dir(l.name))
	}
	if err != nil {
		return opened{}, errors.Join(err, f.Close())
	}
	return o, nil
}

// look refuses links on the way and says whether the file is yet to be made.
func (l location) look(root *os.Root) (fresh bool, err error) {
	parts := strings.Split(l.name, string(filepath.Separator))
	for i := range parts {
		part := filepath.Join(parts[:i+1]...)
		info, err := root.Lstat(part)
		last := i == len(parts)-1
		switch {
		case last && errors.Is(err, fs.ErrNotExist):
			return true, nil
		case err != nil:
			return false, err
		case info.Mode()&fs.ModeSymlink != 0:
			return false, errs.Newf(errs.Invalid, "%s is a symbolic link, which audit files are not followed through", filepath.Join(l.dir, part))
		case last:
			return false, l.acceptable(info)
		}
	}
	return false, nil
}

// acceptable refuses what is no file or could be run as a program.
func (l location) acceptable(info os.FileInfo) error {
	switch {
	case !info.Mode().IsRegular():
		return errs.Newf(errs.Invalid, "%s is not a regular file", l.path())
	case l.keepMode && info.Mode().Perm()&0o111 != 0:
		return errs.Newf(errs.Invalid, "%s is executable; an audit file must not be", l.path())
	}
	return nil
}

// accept checks that f is what the name still leads to, takes it for this
// process alone, and finds out how it ends.
func (l location) accept(root *os.Root, f *os.File) (opened, error) {
	info, err := f.Stat()
	if err != nil {
		return opened{}, err
	}
	named, err := root.Lstat(l.name)
	if err != nil {
		return opened{}, err
	}
	if !os.SameFile(info, named) {
		return opened{}, errs.Newf(errs.Unavailable, "%s changed while it was opened", l.path())
	}
	if err := l.acceptable(info); err != nil {
		return opened{}, err
	}
	if err := lock(f); err != nil {
		return opened{}, err
	}
	if !l.keepMode && info.Mode().Perm() != l.perm {
		if err := f.Chmod(l.perm); err != nil {
			return opened{}, err
		}
	}
	o := opened{handle: f, info: info}
	if size := info.Size(); size > 0 {
		var last [1]byte
		if _, err := f.ReadAt(last[:], size-1); err != nil {
			return opened{}, err
		}
		o.torn = last[0] != '\n'
	}
	return o, nil
}

// syncDir makes a new file's name durable.
func syncDir(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
