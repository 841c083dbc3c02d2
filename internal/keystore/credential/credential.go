package credential

import (
	"bytes"
	"errors"
	"fmt"
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

// Read returns what is in a file, without white space around it: the only copy, which
// the caller may wipe. See Resolve for path. Kinds: NotExist, Denied (others can read it), Invalid, Unavailable.
func Read(path string) (redact.Secret, error) {
	path, err := Resolve(path)
	if err != nil {
		return redact.Secret{}, err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil && (mounted(real) || mounted(path)) {
		return redact.Secret{}, errs.Newf(errs.Invalid, "%q is a token that the cluster gives to a pod, and what must start before the cluster cannot wait for it: use a credential of the machine's", path)
	}
	raw, err := Content(path, maxSize+1)
	if err != nil {
		return redact.Secret{}, fmt.Errorf("reading a credential: %w", err)
	}
	text := bytes.TrimSpace(raw)
	if len(text) == 0 || len(raw) > maxSize {
		clear(raw)
		return redact.Secret{}, errs.Newf(errs.Invalid, "the credential %q has %d bytes, not 1 to %d", path, len(raw), maxSize)
	}
	return redact.New(text), nil
}

// Content returns at most so many bytes of the file at path (see Resolve), as they
// are, if it is Private. The caller wipes them, or gives
// them to a redact.Secret whose owner may. Kinds are those of Read.
func Content(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, Classify(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat() // of what was opened, not of what is at path now
	if err != nil {
		return nil, Classify(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errs.Newf(errs.Invalid, "%q is not a regular file", path)
	}
	if err := Private(path, info); err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		clear(raw)
		return nil, Classify(err)
	}
	return raw, nil
}

// Private returns Denied unless nobody but its owner can read or change the file at path, which info is of.
// Its group may read it, and no more, if it is root's and the group is one of this process: so
// Kubernetes mounts a Secret for a pod with fsGroup (0440), and so root lets one service read a file. It may not where the file
// is anybody else's: what group a user's files have is rarely meant.
func Private(path string, info fs.FileInfo) error {
	perm := info.Mode().Perm()
	switch {
	case perm&0o077 == 0 || OfUnit(path):
		return nil
	case perm&0o037 != 0:
		return errs.Newf(errs.Denied, "%q can be read or changed by others than its owner (mode %#o): run chmod 0400 %s; for a mounted Kubernetes Secret set defaultMode: 0400 (with fsGroup it is 0440 then, which is taken)", path, perm, path)
	case !ofRoot(info):
		return errs.Newf(errs.Denied, "%q can be read by others than its owner (mode %#o), by its group, which is taken only of a file that is root's and of a group of this process, as a Kubernetes Secret mounted with fsGroup is: run chmod 0400 %s", path, perm, path)
	}
	return nil
}

// mounts are where tokens of ServiceAccounts are mounted: by Kubernetes, and for IRSA,
// EKS Pod Identity and Azure's workload identity.
var mounts = []string{"/secrets/kubernetes.io/serviceaccount/", "/secrets/eks.amazonaws.com/serviceaccount/", "/secrets/pods.eks.amazonaws.com/serviceaccount/", "/secrets/azure/tokens/"}

// mounted reports whether path lies where tokens of ServiceAccounts are mounted.
func mounted(path string) bool {
	for _, at := range mounts {
		if strings.Contains(filepath.ToSlash(path)+"/", at) {
			return true
		}
	}
	return false
}

// Classify gives an error of the file system its kind.
func Classify(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errs.As(errs.NotExist, err)
	case errors.Is(err, fs.ErrExist):
		return errs.As(errs.Exist, err)
	case errors.Is(err, fs.ErrPermission):
		return errs.As(errs.Denied, err)
	}
	return errs.As(errs.Unavailable, err)
}
