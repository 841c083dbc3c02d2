package file_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/keystore/keystoretest"
	"github.com/strongkeep/strongkeep/internal/redact"
)

func TestTurning(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	one, err := file.Generate(path)
	if err != nil {
		t.Fatal(err)
	}
	made := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	keystoretest.Turning(t, one, load(t, path), func() {
		if err := file.Add(path, made); err != nil {
			t.Fatal(err)
		}
	})
	h, err := one.History(t.Context())
	if err != nil || !h.Versions[1].Made.Equal(made) || !h.Versions[0].Made.IsZero() {
		t.Errorf("the versions were made at %v, %v", h.Versions, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("adding left the file with %v, %v", info.Mode(), err)
	}
	if err := file.Add(path, made.Add(-time.Hour)); !errs.Is(err, errs.Invalid) {
		t.Errorf("a key older than the newest was added: %v", err)
	}
	left, _ := os.ReadDir(filepath.Dir(path))
	if len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

// Each form of one key gets a second one, and stays the same first one.
func TestAddToEveryForm(t *testing.T) {
	for name, text := range map[string]string{
		"raw": string(key()), "hex": hex.EncodeToString(key()), "base64": base64.StdEncoding.EncodeToString(key()) + "\n",
		"dated": hex.EncodeToString(key()) + " 2026-01-02T03:04:05Z\n", "commented": "# the first\n\n" + hex.EncodeToString(key()) + "\n",
	} {
		path := write(t, []byte(text), 0o600)
		before := load(t, path)
		blob, err := before.Wrap(t.Context(), nil, redact.FromString("x"))
		if err != nil {
			t.Fatal(err)
		}
		if err := file.Add(path, time.Time{}); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		after := load(t, path)
		if got, err := after.Unwrap(t.Context(), nil, blob); err != nil || got.RevealString() != "x" || after.KeyID() != before.KeyID() {
			t.Errorf("%s: after adding a key the first one does not open what it wrapped: %v", name, err)
		}
		if h, err := after.History(t.Context()); err != nil || len(h.Versions) != 2 {
			t.Errorf("%s: %d versions, %v", name, len(h.Versions), err)
		}
	}
}

func TestRingRefuses(t *testing.T) {
	one, two := hex.EncodeToString(key()), strings.Repeat("0f", 16)+strings.Repeat("1e", 16)
	for name, c := range map[string]struct{ content, say string }{
		"the same key twice":    {one + "\n" + strings.ToUpper(one), "line 2: the same key"},
		"no date":               {one + "\n" + two + " canary", "line 2: what follows the key"},
		"a short key":           {one + "\n" + two[:60], "line 2: 60 bytes"},
		"a passphrase of words": {"canary horse battery staple", "line 1"},
		"only comments":         {"# one\n# two", "no line has a key"},
		"raw bytes in a line":   {one + "\n" + string(key()), "line 2"},
		"huge":                  {strings.Repeat(one+"\n", 1000), "bytes are no file of keys"},
	} {
		_, err := file.Load(write(t, []byte(c.content), 0o600))
		if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%s: %v, want it to say %q", name, err, c.say)
		}
		if err != nil && (strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), one[:12])) {
			t.Errorf("%s: the message quotes the file", name)
		}
	}
}

// Guards what is encrypted against a file that was exchanged under a running program.
func TestAnotherFirstKey(t *testing.T) {
	path := write(t, []byte(hex.EncodeToString(key())), 0o600)
	k := load(t, path)
	other := key()
	other[0] ^= 1
	if err := os.WriteFile(path, []byte(hex.EncodeToString(other)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := k.History(t.Context()); !errs.Is(err, errs.Conflict) {
		t.Errorf("the file has another key, and its history is %v", err)
	}
	if _, err := k.Wrap(t.Context(), nil, redact.FromString("x")); err != nil {
		t.Errorf("the key that was loaded is gone: %v", err)
	}
}

func TestOpen(t *testing.T) {
	path := write(t, []byte(hex.EncodeToString(key())), 0o600)
	if k, err := file.Open([]byte(`{"path":"` + path + `"}`)); err != nil || k.KeyID() != load(t, path).KeyID() {
		t.Errorf("opening by settings: %v", err)
	}
	for settings, kind := range map[string]errs.Kind{`{}`: errs.Invalid, `{"path":"/none","more":1}`: errs.Invalid, `{"path":"/none/at/all"}`: errs.NotExist, `{"path":"credential:x"}`: errs.Invalid} {
		if _, err := file.Open([]byte(settings)); !errs.Is(err, kind) {
			t.Errorf("%s: %v, want kind %v", settings, err, kind)
		}
	}
}

// A credential of systemd's looks as if others could read it.
func TestCredential(t *testing.T) {
	path := write(t, []byte(hex.EncodeToString(key())), 0o444)
	if _, err := file.Load(path); !errs.Is(err, errs.Denied) {
		t.Errorf("a file that others can read: %v", err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", filepath.Dir(path))
	k, err := file.Load("credential:" + filepath.Base(path))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.History(t.Context()); err != nil {
		t.Error(err)
	}
}

func FuzzUnwrap(f *testing.F) {
	path := filepath.Join(f.TempDir(), "key")
	k, err := file.Generate(path)
	if err != nil {
		f.Fatal(err)
	}
	if err := file.Add(path, time.Time{}); err != nil {
		f.Fatal(err)
	}
	h, err := k.History(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	for _, v := range h.Versions {
		blob, err := k.WrapAs(f.Context(), v.ID, []byte("aad"), redact.FromString("canary"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(blob)
	}
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, blob []byte) {
		if got, err := k.Unwrap(t.Context(), []byte("other"), blob); err == nil {
			t.Errorf("unwrapped %d bytes under other associated data", got.Len())
		}
		if v, err := k.VersionOf(blob); err == nil && v == "" {
			t.Error("a blob of no version")
		}
	})
}

var _ keystore.Opener = file.Open

// What an add-key that was killed has left holds a key, and does not stay.
func TestAddSweeps(t *testing.T) {
	path := write(t, []byte(hex.EncodeToString(key())), 0o600)
	left := filepath.Join(filepath.Dir(path), ".strongkeep-draft-"+filepath.Base(path)+"-123")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := file.Add(path, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}

// What people are told to take out of a file is the line that has the key, and never the
// first key.
func TestGuide(t *testing.T) {
	path := write(t, []byte("\n# the first\n"+hex.EncodeToString(key())+"\n\n"), 0o600)
	if err := file.Add(path, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	if err := file.Add(path, time.Date(2026, 2, 2, 3, 4, 5, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append([]byte("\n \n"), text...), 0o600); err != nil { // as somebody may have edited it
		t.Fatal(err)
	}
	k := load(t, path)
	h, err := k.History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	line := 0
	for i, l := range strings.Split("\n \n"+string(text), "\n") {
		if strings.Contains(l, "2026-01-02") {
			line = i + 1
		}
	}
	gone := k.Retire([]string{h.Versions[0].ID, h.Versions[1].ID}, h.Versions[2].ID)
	if got := strings.Join(gone[1], ""); line == 0 || !strings.Contains(got, fmt.Sprintf("take key %s out of it (line %d, as long as no line before it was taken out, with the time 2026-01-02T03:04:05Z)", h.Versions[1].ID, line)) {
		t.Errorf("the second key is in line %d: %s", line, got)
	}
	if got := strings.Join(gone[0], ""); !strings.HasPrefix(got, "nothing: ") || strings.Contains(got, "out of") {
		t.Errorf("the first key: %s", got)
	}
	if got := strings.Join(k.Next(h), " "); !strings.Contains(got, "strongkeep kms add-key "+path) {
		t.Error(got)
	}
}
