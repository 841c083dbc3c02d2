package keepsake

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

const unfinished = ".tmp"

// replace replaces a file as a whole, durably, and says that it is of a time: a kill
// at any instant leaves the file of before or the new one, and perhaps one that tidy
// removes.
func replace(path string, data []byte, at time.Time) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "*"+unfinished)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone, once it is renamed
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Chtimes(f.Name(), at, at); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// tidy removes what a kill left half-written, and values that are too old to be used.
// Another operator that writes here meanwhile logs what it lost, and writes it at the
// next read.
func (k *Keeper) tidy() error {
	dir := os.DirFS(k.cfg.Dir)
	var problems []error
	for _, pattern := range []string{"*" + unfinished, "*/*"} {
		paths, err := fs.Glob(dir, pattern)
		problems = append(problems, err)
		for _, path := range paths {
			if k.stale(filepath.Join(k.cfg.Dir, path)) {
				problems = append(problems, gone(os.Remove(filepath.Join(k.cfg.Dir, path))))
			}
		}
	}
	if err := errors.Join(problems...); err != nil {
		return errs.Newf(errs.Unavailable, "looking at the directory of last values: %w", err)
	}
	return nil
}

// stale reports whether nobody needs a file any more. What is no file is not ours.
func (k *Keeper) stale(path string) bool {
	about, err := os.Lstat(path)
	if err != nil || !about.Mode().IsRegular() {
		return false
	}
	return filepath.Ext(path) == unfinished || k.cfg.Clock.Now().Sub(about.ModTime()) > k.cfg.MaxAge
}

// gone is err, or nil if it says that somebody else has removed the file.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
