package keepsake

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Who makes the same store with other credentials, or with none that can be read,
// gets nothing; the right ones still do.
func TestOtherCredentials(t *testing.T) {
	dir := t.TempDir()
	s, req := store(t, "team", one), provider.Request{Key: "app"}
	keep(t, dir, start, func(k *Keeper) { k.Keep(s, req, value(canary)) })
	for name, c := range map[string]struct {
		access provider.Access
		err    error
		good   bool
	}{
		"other":      {provider.Access{2}, nil, false},
		"unknown":    {provider.Access{}, nil, false},
		"unreadable": {good, errs.New(errs.Unavailable, "no Secret"), false},
		"the same":   {good, nil, true},
	} {
		cfg, _ := config(dir, start)
		cfg.Access = access(c.access, c.err)
		k, err := Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		v, _, err := k.Last(t.Context(), s, req)
		if c.good != (err == nil) || c.good != (v.Data.RevealString() == canary) || !c.good && !errs.Is(err, errs.NotExist) {
			t.Errorf("%s: %v", name, err)
		}
		k.Close()
	}
}

// Credentials that change make what is kept theirs, and nobody else's, at the next read.
func TestCredentialsChange(t *testing.T) {
	dir := t.TempDir()
	s, req := store(t, "team", one), provider.Request{Key: "app"}
	next := value(canary)
	next.Access = provider.Access{2}
	keep(t, dir, start, func(k *Keeper) {
		k.Keep(s, req, value(canary))
		k.Keep(s, req, next)
	})
	keep(t, dir, start, func(k *Keeper) {
		if _, _, err := k.Last(t.Context(), s, req); !errs.Is(err, errs.NotExist) {
			t.Errorf("by the credentials of before: %v", err)
		}
		k.cfg.Access = access(next.Access, nil)
		if v, _, err := k.Last(t.Context(), s, req); err != nil || v.Data.RevealString() != canary {
			t.Errorf("by the new ones: %v", err)
		}
	})
}

// What a store says of itself is an outage; what the cluster lacks is none.
func TestAway(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"nothing":              {nil, false},
		"down":                 {errs.New(errs.Unavailable, "x"), true},
		"sealed":               {errs.Newf(errs.Sealed, "x: %w", errs.New(errs.Unavailable, "y")), true},
		"throttled":            {errs.New(errs.Exhausted, "x"), true},
		"refused":              {errs.New(errs.Denied, "x"), false},
		"not logged in":        {errs.New(errs.Unauthenticated, "x"), false},
		"no credential Secret": {errs.Newf(errs.Unavailable, "logging in: %w", provider.Reference(errs.New(errs.Unavailable, "x"))), false},
		"one of many":          {errors.Join(errs.New(errs.Unavailable, "y"), provider.Reference(errs.New(errs.Unavailable, "x"))), false},
	} {
		if got := Away(c.err); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// With the key of before at hand another takes its place: what was kept is good
// all the while, is sealed anew when it is read, and after that the old key is good
// for nothing.
func TestKeyChanges(t *testing.T) {
	dir := t.TempDir()
	s, a, b, c := store(t, "team", one), provider.Request{Key: "a"}, provider.Request{Key: "b"}, provider.Request{Key: "c"}
	keep(t, dir, start, func(k *Keeper) {
		for _, req := range []provider.Request{a, b, c} {
			k.Keep(s, req, value(req.Key))
		}
	})
	open := func(now, old byte) (*Keeper, error) {
		cfg, _ := config(dir, start)
		cfg.Key = key(now)
		if old > 0 {
			cfg.Old = key(old)
		}
		return Open(cfg)
	}
	has := func(k *Keeper, req provider.Request, want bool) {
		t.Helper()
		v, _, err := k.Last(t.Context(), s, req)
		if want != (err == nil) || want != (v.Data.RevealString() == req.Key) {
			t.Errorf("%s: %v", req.Key, err)
		}
	}
	if _, err := open(2, 3); !errs.Is(err, errs.Invalid) {
		t.Errorf("with a wrong key of before: %v", err)
	}
	k, err := open(2, 1)
	if err != nil {
		t.Fatal(err)
	}
	has(k, a, true)
	k.Keep(s, a, value("a"))
	k.Gone(s, c)
	k.Close()
	if k, err = open(2, 1); err != nil { // a restart amid the change
		t.Fatal(err)
	}
	has(k, a, true)
	has(k, b, true)
	has(k, c, false)
	k.Close()
	if _, err := open(1, 0); !errs.Is(err, errs.Invalid) {
		t.Errorf("with the key of before alone: %v", err)
	}
	if k, err = open(2, 0); err != nil {
		t.Fatal(err)
	}
	has(k, a, true)
	has(k, b, false)
	k.Close()
	if n := len(files(t, dir)); n != 3 { // the proof, a, and b by the old key
		t.Errorf("%d files: %v", n, slices.Collect(paths(files(t, dir))))
	}
	cfg, _ := config(dir, start)
	cfg.Old = redact.New([]byte("short"))
	if _, err := Open(cfg); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "the key before") {
		t.Errorf("a key of before that is none: %v", err)
	}
}

func paths(all map[string]string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for path := range all {
			if !yield(path) {
				return
			}
		}
	}
}

// What is too old to be used, or half-written, does not stay; nothing else goes.
func TestTidy(t *testing.T) {
	dir := t.TempDir()
	s, old, young := store(t, "team", one), provider.Request{Key: "old"}, provider.Request{Key: "young"}
	keep(t, dir, start, func(k *Keeper) { k.Keep(s, old, value("x")) })
	keep(t, dir, start.Add(time.Hour), func(k *Keeper) {
		k.Keep(s, young, value("y"))
		if _, err := os.Stat(k.path(nameOf(t, k, s, old))); err != nil {
			t.Errorf("gone at its greatest age: %v", err)
		}
	})
	for _, path := range []string{".strongkeep-draft-key-1", "aa/.strongkeep-draft-1-1", "aa/sub/not-ours"} {
		path = filepath.Join(dir, path)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	keep(t, dir, start.Add(time.Hour+time.Second), func(k *Keeper) {
		if _, err := os.Stat(k.path(nameOf(t, k, s, old))); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("too old, and there: %v", err)
		}
		if _, _, err := k.Last(t.Context(), s, young); err != nil {
			t.Error(err)
		}
	})
	var left []string
	for path := range files(t, dir) {
		left = append(left, filepath.Base(path))
	}
	if slices.Sort(left); len(left) != 3 || !slices.Contains(left, "key") || !slices.Contains(left, "not-ours") {
		t.Errorf("left: %v", left)
	}
}

// A value that is not to be written is not encoded either: there are thousands of reads.
func TestNothingIsSealedThatIsNotWritten(t *testing.T) {
	cfg, _ := config(t.TempDir(), start)
	cfg.Log = slog.New(slog.DiscardHandler)
	k, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s, req, v := store(t, "team", one), provider.Request{Key: "app"}, value(strings.Repeat("x", 1<<20))
	k.Keep(s, req, v)
	k.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 10 {
		k.Keep(s, req, v)
	}
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 5<<20 {
		t.Errorf("ten reads that change nothing take %d bytes", n)
	}
}
