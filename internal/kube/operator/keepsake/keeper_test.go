package keepsake

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/yaml"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/draft"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

const canary = "canary-5a3e"

var start = time.Unix(1_800_000_000, 0)

func key(b byte) redact.Secret { return redact.New(bytes.Repeat([]byte{b}, KeySize)) }

func store(t testing.TB, namespace, spec string) v1.Store {
	t.Helper()
	s := &v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "vault"}}
	if err := yaml.Unmarshal([]byte("provider: "+spec), &s.Spec); err != nil {
		t.Fatal(err)
	}
	return s
}

const one = "{vault: {server: https://one}}"

// good is by what the stores of these tests are read.
var good = provider.Access{1}

func access(a provider.Access, err error) func(context.Context, v1.Store) (provider.Access, error) {
	return func(context.Context, v1.Store) (provider.Access, error) { return a, err }
}

// config is of a keeper in dir at a time, with a log.
func config(dir string, at time.Time) (Config, *bytes.Buffer) {
	log := &bytes.Buffer{}
	return Config{
		Dir: dir, Key: key(1), Access: access(good, nil), MaxAge: time.Hour,
		Clock: testclock.NewFakePassiveClock(at), Log: slog.New(slog.NewTextHandler(log, nil)),
	}, log
}

// keeper opens dir at a time; its end writes what waits.
func keeper(t testing.TB, dir string, at time.Time) (*Keeper, *bytes.Buffer) {
	t.Helper()
	cfg, log := config(dir, at)
	k, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return k, log
}

// keep keeps values and ends.
func keep(t testing.TB, dir string, at time.Time, f func(*Keeper)) {
	t.Helper()
	k, log := keeper(t, dir, at)
	f(k)
	k.Close()
	k.Close()
	if log.Len() > 0 {
		t.Errorf("logged: %s", log)
	}
}

func nameOf(t *testing.T, k *Keeper, s v1.Store, req provider.Request) string {
	t.Helper()
	j, err := k.about(s, req)
	if err != nil {
		t.Fatal(err)
	}
	return j.name
}

func value(text string) provider.Value {
	return provider.Value{Data: redact.FromString(text), Version: "7", Access: good}
}

func TestLast(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "values")
	s, req := store(t, "team", one), provider.Request{Key: "app", Version: "1", Property: "p"}
	parts := provider.Value{Parts: map[string]redact.Secret{"a": redact.FromString("\xff"), "b": redact.FromString(canary)}, Picked: true, Access: good}
	keep(t, dir, start, func(k *Keeper) {
		k.Keep(s, req, value(canary))
		k.Keep(s, provider.Request{Key: "parts"}, parts)
		k.Keep(s, provider.Request{Key: "ends"}, provider.Value{Data: redact.FromString(canary), Access: good, Expires: start.Add(time.Hour)})
		k.Keep(s, provider.Request{Key: "anyhow"}, provider.Value{Data: redact.FromString(canary)})
		k.Keep(s, provider.Request{Key: "large"}, value(strings.Repeat("x", maxValue+1)))
		k.Keep(s, provider.Request{Key: "gone"}, value(canary))
		k.Gone(s, provider.Request{Key: "gone"})
		k.Gone(s, provider.Request{Key: "never"})
	})
	keep(t, dir, start.Add(time.Hour), func(k *Keeper) {
		v, at, err := k.Last(t.Context(), s, req)
		if err != nil || v.Data.RevealString() != canary || v.Version != "7" || v.Parts != nil || !at.Equal(start) {
			t.Errorf("version %s of %v: %v", v.Version, at, err)
		}
		v, _, err = k.Last(t.Context(), s, provider.Request{Key: "parts"})
		if err != nil || len(v.Parts) != 2 || v.Parts["a"].RevealString() != "\xff" || v.Parts["b"].RevealString() != canary || !v.Picked {
			t.Errorf("%d parts: %v", len(v.Parts), err)
		}
		for name, req := range map[string]provider.Request{
			"another key": {Key: "b", Version: "1", Property: "p"}, "another version": {Key: "app", Property: "p"}, "another property": {Key: "app", Version: "1"},
			"metadata": {Key: "app", Version: "1", Property: "p", Metadata: true}, "what ends": {Key: "ends"}, "what is large": {Key: "large"}, "what is gone": {Key: "gone"}, "what nobody knows by what it was read": {Key: "anyhow"},
		} {
			if _, _, err := k.Last(t.Context(), s, req); !errs.Is(err, errs.NotExist) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for name, other := range map[string]v1.Store{
			"another namespace": store(t, "other", one), "another server": store(t, "team", "{vault: {server: https://two}}"),
			"a ClusterSecretStore": &v1.ClusterSecretStore{ObjectMeta: metav1.ObjectMeta{Name: "vault"}, Spec: *s.StoreSpec()},
		} {
			if _, _, err := k.Last(t.Context(), other, req); !errs.Is(err, errs.NotExist) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	for _, at := range []time.Time{start.Add(time.Hour + time.Second), start.Add(-2 * time.Hour)} {
		keep(t, dir, at, func(k *Keeper) {
			if v, _, err := k.Last(t.Context(), s, req); !errs.Is(err, errs.NotExist) || !v.Data.Empty() {
				t.Errorf("at %v: %v", at, err)
			}
		})
	}
}

// files returns the content of every file below dir, by path. What goes while it
// looks is not there.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return nil
		}
		var raw []byte
		if err == nil {
			raw, err = os.ReadFile(path)
		}
		switch {
		case err == nil:
			all[path] = string(raw)
		case errors.Is(err, fs.ErrNotExist):
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// Neither a file nor its name says anything, and nobody else may read it.
func TestSealed(t *testing.T) {
	dir := t.TempDir()
	s := store(t, "team", one)
	keep(t, dir, start, func(k *Keeper) { k.Keep(s, provider.Request{Key: "app"}, value(canary)) })
	for path, text := range files(t, dir) {
		for _, word := range []string{canary, "app", "team", "vault", "https"} {
			if strings.Contains(strings.TrimPrefix(path, dir)+text, word) {
				t.Errorf("%s says %s", path, word)
			}
		}
		if about, err := os.Stat(path); err != nil || about.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", path, about.Mode(), err)
		}
	}
	cfg, _ := config(dir, start)
	cfg.Key = key(2)
	_, err := Open(cfg)
	if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "the key of before") {
		t.Errorf("another key: %v", err)
	}
	for _, size := range []int{0, 16, 33} {
		if _, err := Open(Config{Dir: dir, Key: redact.New(make([]byte, size))}); !errs.Is(err, errs.Invalid) {
			t.Errorf("a key of %d bytes: %v", size, err)
		}
	}
}

// What somebody has changed, cut or put in another's place is no value.
func TestSpoiled(t *testing.T) {
	dir := t.TempDir()
	s := store(t, "team", one)
	keep(t, dir, start, func(k *Keeper) {
		k.Keep(s, provider.Request{Key: "a"}, value("a"))
		k.Keep(s, provider.Request{Key: "b"}, value("b"))
		k.Keep(s, provider.Request{Key: "c"}, value("c"))
	})
	k, _ := keeper(t, dir, start)
	defer k.Close()
	path := func(key string) string {
		return k.path(nameOf(t, k, s, provider.Request{Key: key}))
	}
	b, err := os.ReadFile(path("b"))
	if err != nil {
		t.Fatal(err)
	}
	for key, text := range map[string]string{"a": string(b), "b": string(b[:len(b)-1]), "c": "hello"} {
		if err := os.WriteFile(path(key), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if v, _, err := k.Last(t.Context(), s, provider.Request{Key: key}); !errs.Is(err, errs.Invalid) || !v.Data.Empty() {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// What stays as it is is written again only to say how late it was still so.
func TestQuiet(t *testing.T) {
	dir := t.TempDir()
	s, req := store(t, "team", one), provider.Request{Key: "app"}
	clock := testclock.NewFakePassiveClock(start)
	cfg, _ := config(dir, start)
	cfg.Clock = clock
	k, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	name := nameOf(t, k, s, req)
	noted := func() time.Time {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.known[name].at
	}
	for _, step := range []struct {
		after   time.Duration
		text    string
		written bool
	}{{0, "a", true}, {time.Minute, "a", false}, {5 * time.Minute, "a", false}, {6 * time.Minute, "a", true}, {7 * time.Minute, "b", true}} {
		clock.SetTime(start.Add(step.after))
		before := noted()
		k.Keep(s, req, value(step.text))
		if got := !noted().Equal(before); got != step.written {
			t.Errorf("%s after %v: written %v", step.text, step.after, got)
		}
	}
	k.Close()
	k.Keep(s, req, value("late")) // does nothing
	keep(t, dir, clock.Now(), func(k *Keeper) {
		if v, at, err := k.Last(t.Context(), s, req); err != nil || v.Data.RevealString() != "b" || !at.Equal(clock.Now()) {
			t.Errorf("%v, %v", at, err)
		}
	})
}

// Killed at any instant, each value is one that was kept, whole.
func TestKilled(t *testing.T) {
	if dir := os.Getenv("KEEPSAKE_DIR"); dir != "" {
		k, _ := keeper(t, dir, start)
		s := store(t, "team", one)
		for n := 0; ; n++ {
			for i := range 8 {
				k.Keep(s, provider.Request{Key: fmt.Sprint(i)}, value(strings.Repeat(fmt.Sprintf("%d-%d ", i, n), 2000)))
			}
			for len(k.queue) > maxQueue/2 {
				time.Sleep(time.Millisecond)
			}
		}
	}
	dir := t.TempDir()
	for round := range 5 {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), "KEEPSAKE_DIR="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		for before := files(t, dir); maps.Equal(files(t, dir), before) || len(files(t, dir)) < 5; { // it is writing
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(round) * 7 * time.Millisecond)
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		keep(t, dir, start, func(k *Keeper) {
			for i := range 8 {
				v, _, err := k.Last(t.Context(), store(t, "team", one), provider.Request{Key: fmt.Sprint(i)})
				if errs.Is(err, errs.NotExist) {
					continue
				}
				words := strings.Fields(v.Data.RevealString())
				if err != nil || len(words) != 2000 || !strings.HasPrefix(words[0], fmt.Sprint(i, "-")) || words[0] != words[1999] {
					t.Errorf("round %d, value %d: %d words, %v", round, i, len(words), err)
				}
			}
		})
		for path := range files(t, dir) {
			if draft.Unfinished(path) {
				t.Errorf("%s is left", path)
			}
		}
	}
}

// A directory that cannot be written to costs the values, and nothing else.
func TestUnwritable(t *testing.T) {
	dir := t.TempDir()
	k, log := keeper(t, dir, start)
	s, req := store(t, "team", one), provider.Request{Key: "app"}
	name := nameOf(t, k, s, req)
	if err := os.WriteFile(filepath.Join(dir, name[:2]), nil, 0o600); err != nil { // in the directory's place
		t.Fatal(err)
	}
	k.Keep(s, req, value(canary))
	k.Close()
	if !strings.Contains(log.String(), "keeping a last value") || strings.Contains(log.String(), canary) {
		t.Errorf("logged: %s", log)
	}
	if _, ok := k.known[name]; ok {
		t.Error("what was not written counts as kept")
	}
	if _, err := Open(Config{Dir: filepath.Join(dir, name[:2], "x"), Key: key(1)}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a directory below a file: %v", err)
	}
}

// What lies in the directory may be anything.
func FuzzUnsealed(f *testing.F) {
	k, _ := keeper(f, f.TempDir(), start)
	f.Cleanup(k.Close)
	plain, err := encode(value("x"), k.bound(good), start)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(k.sealed("n", plain), plain)
	f.Add([]byte(magic), []byte(`{"at":"2026-01-01T00:00:00Z","data":null}`))
	f.Fuzz(func(t *testing.T, raw, plain []byte) {
		if got, err := k.unsealed("other", raw); err == nil {
			t.Errorf("%d bytes are opened that nobody has sealed", len(got))
		}
		if r, err := decode(plain); err == nil && r.At.IsZero() {
			t.Error("a value of no time")
		}
	})
}

func TestLoadKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for text, good := range map[string]bool{
		strings.Repeat("k", 32): true, base64.StdEncoding.EncodeToString(make([]byte, 32)) + "\n": true,
		"": false, canary: false, strings.Repeat("k", 31): false, base64.StdEncoding.EncodeToString(make([]byte, 16)): false, strings.Repeat("k", 2000): false,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		key, err := LoadKey(path)
		if good != (err == nil) || good != (key.Len() == KeySize) || err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("%d bytes: %d, %v", len(text), key.Len(), err)
		}
	}
	if _, err := LoadKey(path + "x"); !errs.Is(err, errs.Invalid) {
		t.Error(err)
	}
}
