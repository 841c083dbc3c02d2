package keepsake

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/strongkeep/strongkeep/internal/draft"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// replace replaces a file as a whole, durably, and says that it is of a time: a kill
// at any instant leaves the file of before or the new one, and perhaps a draft that tidy
// removes.
func replace(path string, data []byte, at time.Time) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	d, err := draft.Open(path)
	if err != nil {
		return err
	}
	defer d.Discard()
	if _, err := d.Write(data); err != nil {
		return err
	}
	if err := d.Chtimes(at); err != nil {
		return err
	}
	return d.Replace()
}

// tidy removes what a kill left half-written, and values that are too old to be used.
// Another operator that writes here meanwhile logs what it lost, and writes it at the
// next read.
func (k *Keeper) tidy() error {
	dir := os.DirFS(k.cfg.Dir)
	var problems []error
	for _, pattern := range []string{"*", "*/*"} {
		paths, err := fs.Glob(dir, pattern)
		problems = append(problems, err)
		for _, path := range paths {
			if k.stale(path) {
				problems = append(problems, gone(os.Remove(filepath.Join(k.cfg.Dir, path))))
			}
		}
	}
	if err := errors.Join(problems...); err != nil {
		return errs.Newf(errs.Unavailable, "looking at the directory of last values: %w", err)
	}
	return nil
}

// stale reports whether nobody needs a file below the directory any more. What is no file
// is not ours, and beside the folders of values only drafts are.
func (k *Keeper) stale(path string) bool {
	about, err := os.Lstat(filepath.Join(k.cfg.Dir, path))
	if err != nil || !about.Mode().IsRegular() {
		return false
	}
	return draft.Unfinished(path) || filepath.Dir(path) != "." && k.cfg.Clock.Now().Sub(about.ModTime()) > k.cfg.MaxAge
}

// gone is err, or nil if it says that somebody else has removed the file.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
