package configure

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/encryption/config"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// temporary begins the names of files that are being written.
const temporary = ".strongkeep-encryption-"

// write puts the next file in the place of the current one, which is kept beside it.
// Whenever it is killed, each of the two names has a whole file, and the current one
// is in one of them. The kind is Conflict if somebody else changed the file meanwhile.
func write(cfg *Config, current, next *config.File) error {
	real, err := resolve(cfg.File)
	if err != nil {
		return err
	}
	unlock, err := lock(filepath.Dir(real))
	if err != nil {
		return err
	}
	defer unlock()
	if err := sweep(filepath.Dir(real)); err != nil {
		return err
	}
	if current.Hash != "" {
		if err := replace(cfg, content{real, previous(real), current.Text(), current.Hash}); err != nil {
			return err
		}
	}
	return replace(cfg, content{real, real, next.Text(), current.Hash})
}

// restore puts the file before back, if the current one is still that which was
// written.
func restore(cfg *Config, was, wrote *config.File) error {
	real, err := resolve(cfg.File)
	if err != nil {
		return err
	}
	unlock, err := lock(filepath.Dir(real))
	if err != nil {
		return err
	}
	defer unlock()
	return replace(cfg, content{real, real, was.Text(), wrote.Hash})
}

// unchanged refuses if the file is not that which was read.
func unchanged(cfg *Config, real, hash string) error {
	if now, err := load(real); err != nil || now.Hash != hash {
		return errs.Newf(errs.Conflict, "%s was changed meanwhile, and is left as it is: try again", cfg.File)
	}
	return nil
}

// resolve follows links, so that a link stays one.
func resolve(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	if err != nil {
		return "", errs.Newf(errs.Unavailable, "looking for %s: %w", path, err)
	}
	return real, nil
}

// sweep removes what a run that was killed has left.
func sweep(dir string) error {
	old, err := filepath.Glob(filepath.Join(dir, temporary+"*"))
	if err != nil {
		return errs.Newf(errs.Internal, "looking for remains: %w", err)
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return errs.Newf(errs.Denied, "removing what an earlier run left: %w", err)
		}
	}
	return nil
}

// content is what is to be written, and where.
type content struct {
	real string // the file: what is written gets its owner and mode
	path string
	text redact.Secret
	hash string // that the file has until the last moment; "": it is not there
}

// replace writes content whole and durably under a name, unless the file is another than
// it was: there is no moment between looking and renaming but the system's own.
func replace(cfg *Config, c content) (err error) {
	path := c.path
	f, err := os.CreateTemp(filepath.Dir(path), temporary+"*") // 0600
	if errors.Is(err, fs.ErrNotExist) {
		return errs.Newf(errs.NotExist, "the directory of %s is not there: make it, readable to root only", path)
	}
	if err != nil {
		return errs.Newf(errs.Denied, "writing beside %s: %w: run this as root on a control-plane node", path, err)
	}
	defer func() { _ = os.Remove(f.Name()) }() // nothing, once it has its name
	cfg.At("opened " + filepath.Base(path))
	_, err = f.Write(c.text.Reveal())
	if err = errors.Join(err, alike(f, c.real), f.Sync(), f.Close()); err != nil {
		return errs.Newf(errs.Unavailable, "writing %s: %w", path, err)
	}
	cfg.At("written " + filepath.Base(path))
	if err := unchanged(cfg, c.real, c.hash); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return errs.Newf(errs.Unavailable, "putting %s in its place: %w", path, err)
	}
	cfg.At("renamed " + filepath.Base(path))
	return sync(filepath.Dir(path))
}

// alike gives a new file the rights of the one it follows.
func alike(f *os.File, like string) error {
	info, err := os.Stat(like)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(owned(f, info), f.Chmod(info.Mode().Perm()))
}

func sync(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return errs.Newf(errs.Unavailable, "syncing %s: %w", dir, err)
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return errs.Newf(errs.Unavailable, "syncing %s: %w", dir, err)
	}
	return nil
}
