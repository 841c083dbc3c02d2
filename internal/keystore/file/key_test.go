package file_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/file"
	"github.com/strongkeep/strongkeep/internal/keystore/keystoretest"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
)

var (
	_ seal.Wrapper       = (*file.Key)(nil)
	_ keystore.Versioned = (*file.Key)(nil)
)

// key is 32 bytes of which some are not printable; its forms hold "canary".
func key() []byte { return []byte("canary\x00\x01\x02\x03canary\xff\xfe\xfd\xfccanary567890"[:32]) }

func write(t *testing.T, content []byte, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, path string) *file.Key {
	t.Helper()
	k, err := file.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestWrapper(t *testing.T) {
	path := write(t, key(), 0o600)
	other := key()
	other[0] ^= 1
	keystoretest.Run(t, load(t, path), load(t, path), load(t, write(t, other, 0o600)))
}

func TestEveryFormIsTheSameKey(t *testing.T) {
	want := load(t, write(t, key(), 0o400)).KeyID()
	for name, text := range map[string]string{
		"hex":               hex.EncodeToString(key()),
		"hex, newline":      hex.EncodeToString(key()) + "\n",
		"HEX, CRLF":         strings.ToUpper(hex.EncodeToString(key())) + "\r\n",
		"base64":            base64.StdEncoding.EncodeToString(key()),
		"base64, spaces":    "  " + base64.StdEncoding.EncodeToString(key()) + " \n",
		"base64 unpadded":   base64.RawStdEncoding.EncodeToString(key()),
		"hex, many newline": "\n\n" + hex.EncodeToString(key()) + "\n\n\n",
	} {
		if got := load(t, write(t, []byte(text), 0o400)).KeyID(); got != want {
			t.Errorf("%s: key id %s, want %s", name, got, want)
		}
	}
	// Golden: the id is on disk in seal configurations, so it never changes.
	if want != "f731ed90def4659b" {
		t.Errorf("the id of a key has changed to %s", want)
	}
}

func TestLoadRefuses(t *testing.T) {
	asHex := hex.EncodeToString(key())
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		kind    errs.Kind
		say     string
	}{
		"group readable":     {asHex, 0o660, errs.Denied, "chmod 0400"},
		"world readable":     {asHex, 0o604, errs.Denied, "0604"},
		"group writable":     {asHex, 0o620, errs.Denied, "defaultMode"},
		"world executable":   {asHex, 0o601, errs.Denied, "others than its owner"},
		"empty":              {"", 0o600, errs.Invalid, "0 bytes are no key"},
		"short":              {asHex[:62], 0o600, errs.Invalid, "62 bytes are no key"},
		"raw and a newline":  {string(key()) + "\n", 0o600, errs.Invalid, "33 bytes are no key"},
		"raw of 16":          {string(key()[:16]), 0o600, errs.Invalid, "16 bytes"},
		"passphrase":         {"canary-correct-horse-battery-32c", 0o600, errs.Invalid, "not a random key"},
		"zeros":              {strings.Repeat("\x00", 32), 0o600, errs.Invalid, "not random"},
		"zeros in hex":       {strings.Repeat("00", 32), 0o600, errs.Invalid, "not random"},
		"not hex":            {"canary-" + asHex[7:], 0o600, errs.Invalid, "neither"},
		"not base64":         {strings.Repeat("canary!!", 6)[:44], 0o600, errs.Invalid, "neither"},
		"base64 of 33 bytes": {base64.StdEncoding.EncodeToString(append(key(), 1)), 0o600, errs.Invalid, "neither"},
		"huge":               {strings.Repeat(asHex, 100), 0o600, errs.Invalid, "are no key"},
	} {
		path := write(t, []byte(c.content), c.mode)
		_, err := file.Load(path)
		if !errs.Is(err, c.kind) || !strings.Contains(err.Error(), c.say) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got %v, want kind %v naming the file and saying %q", name, err, c.kind, c.say)
		}
		if err != nil && (strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), asHex[:12])) {
			t.Errorf("%s: the message quotes the key", name)
		}
	}
}

func TestLoadOfOtherThings(t *testing.T) {
	dir := t.TempDir()
	if _, err := file.Load(filepath.Join(dir, "none")); !errs.Is(err, errs.NotExist) {
		t.Errorf("no file: %v", err)
	}
	if _, err := file.Load(dir); !errs.Is(err, errs.Invalid) {
		t.Errorf("a directory: %v", err)
	}
	// As Kubernetes mounts a Secret: a link to a link to the file.
	path := write(t, key(), 0o400)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	load(t, link)
}

func TestGenerate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	made, err := file.Generate(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("made with mode %v, %v", info.Mode(), err)
	}
	if load(t, path).KeyID() != made.KeyID() {
		t.Error("the file holds another key than Generate returned")
	}
	before, _ := os.ReadFile(path)
	if _, err := file.Generate(path); !errs.Is(err, errs.Exist) || !strings.Contains(err.Error(), path) {
		t.Errorf("generating over a key: %v", err)
	}
	if after, _ := os.ReadFile(path); string(after) != string(before) {
		t.Error("a key was overwritten")
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := file.Generate(filepath.Join(path, "below-a-file")); err == nil {
		t.Error("generated where no folder is")
	}
}

// Guards the race of several servers starting on one volume.
func TestLoadOrGenerateAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			k, err := file.LoadOrGenerate(path)
			if err != nil {
				t.Error(err)
				return
			}
			ids[i] = k.KeyID()
		})
	}
	wg.Wait()
	for _, id := range ids {
		if id != ids[0] {
			t.Fatalf("different keys: %v", ids)
		}
	}
	bad := write(t, []byte("x"), 0o600)
	if _, err := file.LoadOrGenerate(bad); !errs.Is(err, errs.Invalid) {
		t.Errorf("a damaged key file was replaced: %v", err)
	}
}

// Guards a file's key against %s of what holds it.
func TestKeyIsNeverPrinted(t *testing.T) {
	k := load(t, write(t, key(), 0o600))
	var out strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb, k)
		fmt.Fprintf(&out, verb, *k)
		fmt.Fprintf(&out, verb, []any{k, *k})
	}
	for _, leak := range []string{"canary", hex.EncodeToString(key())[:12], fmt.Sprint(key()[:6])} {
		if strings.Contains(out.String(), leak) {
			t.Errorf("printed as %q", leak)
		}
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(key())
	f.Add([]byte(hex.EncodeToString(key())))
	f.Add([]byte(base64.StdEncoding.EncodeToString(key())))
	f.Add([]byte("\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(dir, "key")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := file.Load(path)
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("kind %v: %v", errs.KindOf(err), err)
			}
			return
		}
		blob, _ := k.Wrap(t.Context(), nil, redact.FromString("x"))
		if got, err := k.Unwrap(t.Context(), nil, blob); err != nil || got.RevealString() != "x" {
			t.Errorf("a loaded key does not work: %v", err)
		}
	})
}
