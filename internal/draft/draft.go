package draft

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// prefix begins the names of drafts: .strongkeep-draft-NAME-1234, for a file NAME.
const prefix = ".strongkeep-draft-"

// Draft is a file that is being written. Who opened one calls Discard at the end,
// whatever became of it. Errors are those of package os, for the caller to classify.
// It is not for concurrent use.
type Draft struct {
	file *os.File // nil: it has its name, or is discarded
	path string   // the name that it is to have
}

// Open begins what is to be at path, in path's directory, which must be there. Nobody but
// its owner may read it, whatever was there before: see Like and Chmod. Where path is a
// link, Replace replaces the link: see Resolve.
func Open(path string) (*Draft, error) {
	f, err := os.CreateTemp(filepath.Dir(path), prefix+filepath.Base(path)+"-*") // 0600
	if at := (*fs.PathError)(nil); errors.As(err, &at) {
		at.Path = path // the draft's own name is nothing to who asked for this file
	}
	if err != nil {
		return nil, err
	}
	return &Draft{file: f, path: path}, nil
}

// Write implements io.Writer.
func (d *Draft) Write(b []byte) (int, error) { return d.file.Write(b) }

// Chmod gives it a mode.
func (d *Draft) Chmod(mode fs.FileMode) error { return d.file.Chmod(mode) }

// Like gives it the mode and the owner of another file, or is an error if it may not. The
// group is kept where it may be, and where it has rights it must be.
func (d *Draft) Like(other fs.FileInfo) error {
	return errors.Join(owned(d.file, other), d.Chmod(other.Mode().Perm()))
}

// Chtimes says that it was changed at a time.
func (d *Draft) Chtimes(at time.Time) error { return os.Chtimes(d.file.Name(), at, at) }

// Reread returns what lies on the disk, from its beginning, to be looked at before it gets
// its name. The caller closes it.
func (d *Draft) Reread() (*os.File, error) {
	if err := d.file.Sync(); err != nil {
		return nil, err
	}
	evict(d.file)
	return os.Open(d.file.Name())
}

// Replace makes it durable under its name, in the place of what was there: whoever looks,
// or cuts the power, finds the old file or the new one, whole. After an error from
// syncing the directory it may be either.
func (d *Draft) Replace() error { return d.become(os.Rename) }

// Create is Replace where nothing may be there already: fs.ErrExist if there is.
func (d *Draft) Create() error {
	return d.become(func(from, to string) error {
		if err := os.Link(from, to); err != nil {
			return err
		}
		_ = os.Remove(from) // another name of the same file
		return nil
	})
}

func (d *Draft) become(name func(from, to string) error) error {
	if err := d.file.Sync(); err != nil {
		return err
	}
	if err := d.file.Close(); err != nil {
		return err
	}
	if err := name(d.file.Name(), d.path); err != nil {
		return err
	}
	d.file = nil
	return sync(filepath.Dir(d.path))
}

// Discard removes it, if it has not got its name.
func (d *Draft) Discard() {
	if d.file != nil {
		_ = d.file.Close() // again, perhaps
		_ = os.Remove(d.file.Name())
		d.file = nil
	}
}

// Write replaces what is at path, durably: see Draft.
func Write(path string, content []byte, mode fs.FileMode) error {
	d, err := Open(path)
	if err != nil {
		return err
	}
	defer d.Discard()
	if _, err := d.Write(content); err != nil {
		return err
	}
	if err := d.Chmod(mode); err != nil {
		return err
	}
	return d.Replace()
}

// Resolve follows links, so that replacing a file leaves a link to it one. What is not
// there is itself.
func Resolve(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	return real, err
}

// Sweep removes drafts for path that were left by who was killed. One that somebody
// writes now is removed too, and its Replace is an error: it is for files of which one
// is written at a time.
func Sweep(path string) error {
	dir, head := filepath.Dir(path), prefix+filepath.Base(path)+"-"
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var all []error
	for _, e := range entries {
		number, ours := strings.CutPrefix(e.Name(), head)
		if !ours || !e.Type().IsRegular() || strings.Trim(number, "0123456789") != "" {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); !errors.Is(err, fs.ErrNotExist) {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// Unfinished reports whether a file of this name is a draft.
func Unfinished(name string) bool { return strings.HasPrefix(filepath.Base(name), prefix) }

// sync makes durable what names are in a directory. Windows cannot, and need not.
func sync(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
