package place

import (
	"cmp"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/draft"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Place keeps files by name. All methods may be called at once. Names have no slash.
type Place interface {
	// Put keeps what from holds, of which size bytes are left. The name is there when all
	// of it is. Kind Exist: the name is taken, and what has it stays.
	Put(ctx context.Context, name string, from io.ReadSeeker, size int64) error
	// Get reads from the place itself. Kind NotExist. The caller closes it.
	Get(ctx context.Context, name string) (io.ReadCloser, error)
	// List returns the names that begin with prefix, in their order.
	List(ctx context.Context, prefix string) ([]string, error)
	// Delete removes a name; removing what is not there is no error.
	Delete(ctx context.Context, name string) error
}

// Directory is a Place on a file system.
type Directory struct{ path string }

// OpenDirectory makes the directory if it is missing, for its owner alone.
func OpenDirectory(path string) (*Directory, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, failure("making the directory of snapshots", err)
	}
	return &Directory{path}, nil
}

func failure(doing string, err error) error {
	if err == nil {
		return nil
	}
	return errs.Newf(errs.Unavailable, "%s: %w", doing, err)
}

// CheckName refuses names that lead elsewhere: Invalid.
func CheckName(name string) error {
	if name == "" || name[0] == '.' || strings.ContainsAny(name, "/\\\x00") {
		return errs.Newf(errs.Invalid, "%.100q is no name of a snapshot", name)
	}
	return nil
}

// Taken is the error of a name that is.
func Taken(name string) error {
	return errs.Newf(errs.Exist, "there is something called %q already, and it stays: use another name", name)
}

// Put implements Place.
func (d *Directory) Put(_ context.Context, name string, from io.ReadSeeker, size int64) error {
	if err := CheckName(name); err != nil {
		return err
	}
	file := filepath.Join(d.path, name)
	if _, err := os.Lstat(file); !os.IsNotExist(err) {
		return cmp.Or(failure("looking for a snapshot", err), Taken(name))
	}
	if err := draft.Sweep(file); err != nil {
		return failure("removing what a crash has left", err)
	}
	to, err := draft.Open(file)
	if err != nil {
		return failure("writing a snapshot", err)
	}
	defer to.Discard()
	n, err := io.Copy(to, from)
	if err == nil && n != size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return failure("writing a snapshot", err)
	}
	return failure("writing a snapshot", to.Replace())
}

// Get implements Place.
func (d *Directory) Get(_ context.Context, name string) (io.ReadCloser, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Join(d.path, name))
	if os.IsNotExist(err) {
		return nil, errs.Newf(errs.NotExist, "there is no snapshot %q", name)
	}
	return f, failure("opening a snapshot", err)
}

// List implements Place.
func (d *Directory) List(_ context.Context, prefix string) ([]string, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, failure("listing the snapshots", err)
	}
	var names []string
	for _, e := range entries {
		if e.Type().IsRegular() && strings.HasPrefix(e.Name(), prefix) && CheckName(e.Name()) == nil {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// Delete implements Place.
func (d *Directory) Delete(_ context.Context, name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	err := os.Remove(filepath.Join(d.path, name))
	if err != nil && !os.IsNotExist(err) {
		return failure("removing a snapshot", err)
	}
	return nil
}
