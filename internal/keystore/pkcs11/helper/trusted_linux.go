package helper

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// trusted returns where a file really lies that is run or loaded, and refuses one that
// others than root and we could have written or exchanged: it, and all directories above it.
// A directory in which each may remove only what is theirs (sticky, as /tmp) will do.
// Kinds: Unavailable (it is not there), Denied, Invalid.
func trusted(what, path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && what == "program":
		return "", errs.Newf(errs.Unavailable, "there is no program %s: install strongkeep-pkcs11 of this release (docs/encryption.md#pkcs11)", path)
	case errors.Is(err, fs.ErrNotExist):
		return "", errs.Newf(errs.Unavailable, "there is no module %s: install the PKCS#11 library of the token's vendor", path)
	case err != nil:
		return "", errs.Newf(errs.Unavailable, "looking at %s: %w", what, err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", errs.Newf(errs.Unavailable, "looking at %s: %w", what, err)
	}
	if !info.Mode().IsRegular() {
		return "", errs.Newf(errs.Invalid, "%s %s is no regular file", what, path)
	}
	for at := real; ; at = filepath.Dir(at) {
		if err := ownedBySafe(what, at); err != nil {
			return "", err
		}
		if at == filepath.Dir(at) {
			return real, nil
		}
	}
}

func ownedBySafe(what, at string) error {
	info, err := os.Lstat(at)
	if err != nil {
		return errs.Newf(errs.Unavailable, "looking at %s: %w", what, err)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	sticky := info.IsDir() && info.Mode()&fs.ModeSticky != 0
	switch {
	case owner != 0 && int(owner) != os.Geteuid():
		return errs.Newf(errs.Denied, "%s: %s belongs to user %d, who could put something else there: run chown root %s", what, at, owner, at)
	case info.Mode().Perm()&0o022 != 0 && !sticky:
		return errs.Newf(errs.Denied, "%s: %s is writable to others (mode %#o), who could put something else there: run chmod go-w %s", what, at, info.Mode().Perm(), at)
	}
	return nil
}
