package credential_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/credential"
)

func write(t *testing.T, path, content string, mode os.FileMode) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	got, err := credential.Read(write(t, filepath.Join(dir, "token"), " canary\n", 0o400))
	if err != nil || got.RevealString() != "canary" {
		t.Errorf("read %d bytes, %v", got.Len(), err)
	}
	account := write(t, filepath.Join(dir, "run/secrets/kubernetes.io/serviceaccount/token"), "canary", 0o600)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(account, link); err != nil {
		t.Fatal(err)
	}
	for path, kind := range map[string]errs.Kind{
		filepath.Join(dir, "none"): errs.NotExist,
		dir:                        errs.Invalid,
		write(t, filepath.Join(dir, "group"), "canary", 0o660):                        errs.Denied,
		write(t, filepath.Join(dir, "world"), "canary", 0o604):                        errs.Denied,
		write(t, filepath.Join(dir, "empty"), " \n", 0o600):                           errs.Invalid,
		write(t, filepath.Join(dir, "huge"), strings.Repeat("canary", 20_000), 0o600): errs.Invalid,
		account:        errs.Invalid,
		link:           errs.Invalid,
		"credential:x": errs.Invalid,
	} {
		if _, err := credential.Read(path); !errs.Is(err, kind) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v, want kind %v", path, err, kind)
		}
	}
}

func TestReadCredentialOfUnit(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "token"), "canary", 0o440)
	t.Setenv(credential.Directory, dir)
	if got, err := credential.Read("credential:token"); err != nil || got.RevealString() != "canary" {
		t.Errorf("reading a credential: %v", err)
	}
	for _, path := range []string{"credential:", "credential:..", "credential:../token", "credential:a/b"} {
		if _, err := credential.Read(path); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
