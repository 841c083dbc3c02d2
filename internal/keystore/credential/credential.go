package credential

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Directory is the variable in which systemd tells a unit where its credentials are.
const Directory = "CREDENTIALS_DIRECTORY"

const maxSize = 64 << 10

// Resolve returns path, or for "credential:NAME" the path of a systemd credential.
// Kind Invalid if there are no credentials, or the name is none.
func Resolve(path string) (string, error) {
	name, ok := strings.CutPrefix(path, "credential:")
	if !ok {
		return path, nil
	}
	dir := os.Getenv(Directory)
	switch {
	case dir == "":
		return "", errs.Newf(errs.Invalid, "%q is a systemd credential, and systemd has given none to this process: set LoadCredential= or LoadCredentialEncrypted= in its unit", path)
	case name == "" || name != filepath.Base(name) || name == "..":
		return "", errs.Newf(errs.Invalid, "%q is no name of a systemd credential", path)
	}
	return filepath.Join(dir, name), nil
}

// OfUnit reports whether path is a systemd credential. systemd has made that
// directory for this unit alone, and lets its user in by an access list, which
// looks as if the group could read.
func OfUnit(path string) bool {
	dir := os.Getenv(Directory)
	return dir != "" && filepath.Dir(filepath.Clean(path)) == filepath.Clean(dir)
}

// Read returns what is in a file, without white space around it. See Resolve for
// path. Kinds: NotExist, Denied (others can read it), Invalid, Unavailable.
func Read(path string) (redact.Secret, error) {
	path, err := Resolve(path)
	if err != nil {
		return redact.Secret{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return redact.Secret{}, errs.Newf(kindOf(err), "opening a credential: %w", err)
	}
	defer func() { _ = f.Close() }()
	if err := check(f, path); err != nil {
		return redact.Secret{}, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return redact.Secret{}, errs.Newf(errs.Unavailable, "reading a credential: %w", err)
	}
	text := bytes.TrimSpace(raw)
	if len(text) == 0 || len(raw) > maxSize {
		return redact.Secret{}, errs.Newf(errs.Invalid, "the credential %q has %d bytes, not 1 to %d", path, len(raw), maxSize)
	}
	return redact.New(text), nil
}

// check looks at what was opened, not at what is at path now.
func check(f *os.File, path string) error {
	if real, err := filepath.EvalSymlinks(path); err == nil && (mounted(real) || mounted(path)) {
		return errs.Newf(errs.Invalid, "%q is a token that the cluster gives to a pod, and what must start before the cluster cannot wait for it: use a credential of the machine's", path)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		return errs.Newf(errs.Unavailable, "looking at a credential: %w", err)
	case !info.Mode().IsRegular():
		return errs.Newf(errs.Invalid, "the credential %q is not a regular file", path)
	case info.Mode().Perm()&0o077 != 0 && !OfUnit(path):
		return errs.Newf(errs.Denied, "the credential %q can be read or changed by others than its owner (mode %#o): run chmod 0400 %s", path, info.Mode().Perm(), path)
	}
	return nil
}

// mounted reports whether path lies where Kubernetes mounts tokens of ServiceAccounts.
func mounted(path string) bool {
	return strings.Contains(filepath.ToSlash(path)+"/", "/secrets/kubernetes.io/serviceaccount/")
}

func kindOf(err error) errs.Kind {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errs.NotExist
	case errors.Is(err, fs.ErrPermission):
		return errs.Denied
	}
	return errs.Unavailable
}
