package sealed_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/cached"
	"github.com/strongkeep/strongkeep/internal/vault/store/feed"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
	"github.com/strongkeep/strongkeep/internal/vault/store/pebble"
	"github.com/strongkeep/strongkeep/internal/vault/store/sealed"
	"github.com/strongkeep/strongkeep/internal/vault/store/storetest"
)

// keys returns the keyring of a new vault in a store of its own.
func keys(t *testing.T) *seal.Keyring {
	t.Helper()
	b := seal.New(seal.Config{Store: mem.New(mem.Config{})})
	t.Cleanup(func() { _ = b.Close() })
	if _, err := b.Init(t.Context(), seal.InitConfig{Shares: 1, Threshold: 1}); err != nil {
		t.Fatal(err)
	}
	return b.Keyring()
}

func over(t *testing.T, inner store.Store, k *seal.Keyring) *sealed.Store {
	t.Helper()
	s, err := sealed.New(inner, sealed.Config{Sealer: k, PlainPrefixes: []string{"lease/"}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	k := keys(t)
	storetest.Run(t, func(t *testing.T) store.Store { return over(t, mem.New(mem.Config{}), k) }, storetest.Options{
		Unordered: true, Valueless: true,
		Forgetful: func(t *testing.T) store.Store {
			return over(t, mem.New(mem.Config{History: feed.Config{Events: 64}}), k)
		},
	})
}

// A sealed vault closes this store and keeps the one below open.
func TestConformanceOverBorrowed(t *testing.T) {
	k := keys(t)
	storetest.Run(t, func(t *testing.T) store.Store {
		base := mem.New(mem.Config{})
		t.Cleanup(func() { _ = base.Close() })
		return over(t, store.Borrow(base), k)
	}, storetest.Options{Unordered: true, Valueless: true})
}

// The stores as the server puts them together.
func TestConformanceOfTheStack(t *testing.T) {
	k := keys(t)
	start := func(t *testing.T, fs vfs.FS) *stack {
		base, err := pebble.Open(pebble.Config{Dir: "/store", FS: fs})
		if err != nil {
			t.Fatal(err)
		}
		return &stack{Store: cached.New(over(t, base, k), cached.Config{Log: slog.New(slog.DiscardHandler)}), fs: fs}
	}
	storetest.Run(t, func(t *testing.T) store.Store { return start(t, vfs.NewMem()) }, storetest.Options{
		Unordered: true, Valueless: true,
		Reopen: func(t *testing.T, s store.Store) store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return start(t, s.(*stack).fs)
		},
	})
}

type stack struct {
	store.Store
	fs vfs.FS
}

// What lies on the disk shows neither names nor values (docs/threat-model.md).
func TestNothingInTheClear(t *testing.T) {
	dir := t.TempDir()
	raw, err := pebble.Open(pebble.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	s := over(t, raw, keys(t))
	const name, folder, value = "canary-name-81", "canary-folder-42", "canary-value-7f"
	for _, key := range []string{"data/" + folder + "/" + name, "policy/" + name} {
		if _, err := s.Apply(t.Context(), store.Put(key, []byte(strings.Repeat(value, 100)))); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	files := 0
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		files++
		for _, canary := range []string{name, folder, value} {
			for _, form := range []string{canary, base64.StdEncoding.EncodeToString([]byte(canary))[:12]} {
				if bytes.Contains(content, []byte(form)) {
					t.Errorf("%s holds %q", filepath.Base(path), form)
				}
			}
		}
		if bytes.Contains(content, []byte("policy/")) {
			files += 1000 // the structure is visible: the search can find things
		}
		return err
	})
	if err != nil || files < 1000 {
		t.Errorf("the search found not even the plain folder in %d files (%v)", files, err)
	}
}

// raws returns every stored key below folder of the inner store.
func raws(t *testing.T, s store.Store, folder string) []string {
	t.Helper()
	names, err := s.List(t.Context(), folder, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, n := range names {
		if strings.HasSuffix(n, "/") {
			keys = append(keys, raws(t, s, folder+n)...)
		} else {
			keys = append(keys, folder+n)
		}
	}
	return keys
}

func TestSwappedEntries(t *testing.T) {
	inner := mem.New(mem.Config{})
	s := over(t, inner, keys(t))
	defer s.Close()
	for _, key := range []string{"data/a/one", "data/b/one"} {
		if _, err := s.Apply(t.Context(), store.Put(key, []byte("value of "+key))); err != nil {
			t.Fatal(err)
		}
	}
	stored := raws(t, inner, "data/")
	if len(stored) != 2 || filepath.Base(stored[0]) == filepath.Base(stored[1]) {
		t.Fatalf("one name in two folders is stored as %q", stored)
	}
	one, _ := inner.Get(t.Context(), stored[0])
	two, _ := inner.Get(t.Context(), stored[1])
	if _, err := inner.Apply(t.Context(), store.Put(stored[0], two.Value), store.Put(stored[1], one.Value)); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"data/a/one", "data/b/one"} {
		if e, err := s.Get(t.Context(), key); !errs.Is(err, errs.Internal) || len(e.Value) != 0 {
			t.Errorf("a swapped entry was read: %q, %v", e.Value, err)
		}
	}
	// A name moved to another folder does not come back as a name.
	moved := filepath.Dir(stored[0]) + "/" + filepath.Base(stored[1])
	if _, err := inner.Apply(t.Context(), store.Put(moved, one.Value)); err != nil {
		t.Fatal(err)
	}
	damaged := 0
	for _, folder := range []string{"data/a/", "data/b/"} {
		if _, err := s.List(t.Context(), folder, "", 0); errs.Is(err, errs.Internal) {
			damaged++
		}
	}
	if damaged != 1 {
		t.Errorf("%d folders of two tell of the moved name, want 1", damaged)
	}
}

func TestBitFlips(t *testing.T) {
	inner := mem.New(mem.Config{})
	s := over(t, inner, keys(t))
	defer s.Close()
	const canary = "canary-value-33"
	if _, err := s.Apply(t.Context(), store.Put("data/x", []byte(canary))); err != nil {
		t.Fatal(err)
	}
	at := raws(t, inner, "data/")[0]
	whole, _ := inner.Get(t.Context(), at)
	check := func(what string, value []byte) {
		t.Helper()
		if _, err := inner.Apply(t.Context(), store.Put(at, value)); err != nil {
			t.Fatal(err)
		}
		e, err := s.Get(t.Context(), "data/x")
		if err == nil || len(e.Value) != 0 {
			t.Errorf("%s: read as %q", what, e.Value)
			return
		}
		if strings.Contains(err.Error(), canary) {
			t.Errorf("%s: the error quotes the value", what)
		}
	}
	for i := range len(whole.Value) * 8 {
		flipped := bytes.Clone(whole.Value)
		flipped[i/8] ^= 1 << (i % 8)
		check("a flipped bit", flipped)
	}
	for i := range len(whole.Value) {
		check("a cut value", whole.Value[:i])
	}
	check("a longer value", append(bytes.Clone(whole.Value), 0))
}

func TestLimits(t *testing.T) {
	s := over(t, mem.New(mem.Config{}), keys(t))
	defer s.Close()
	deep := "data" + strings.Repeat("/x", 900)
	if _, err := s.Apply(t.Context(), store.Put(deep, nil)); !errs.Is(err, errs.TooLarge) || !strings.Contains(err.Error(), "too deep") {
		t.Errorf("a name that is too deep: %v", err)
	}
	if e, err := s.Get(t.Context(), deep); err != nil || e.Exists() {
		t.Errorf("reading it: %+v, %v", e, err)
	}
	if _, err := s.Apply(t.Context(), store.Put("data/x", make([]byte, store.MaxValue+1))); !errs.Is(err, errs.TooLarge) {
		t.Errorf("a value that is too long: %v", err)
	}
	if _, err := s.Apply(t.Context(), store.Put("data/x", make([]byte, store.MaxValue))); err != nil {
		t.Errorf("the longest value: %v", err)
	}
	if _, err := sealed.New(s, sealed.Config{Sealer: keys(t), PlainPrefixes: []string{"a/b/"}}); !errs.Is(err, errs.Invalid) {
		t.Errorf("a deep plain prefix: %v", err)
	}
}

// Entries that others put into the store below, such as the seal's own, must
// neither show nor end a watch.
func TestForeignEntriesDoNotShowInWatches(t *testing.T) {
	inner := mem.New(mem.Config{})
	s := over(t, inner, keys(t))
	defer s.Close()
	w, err := s.Watch(t.Context(), "core/", 0)
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.Watch(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := inner.Apply(t.Context(), store.Put("core/keyring", []byte("x")))
	if err != nil {
		t.Fatal(err)
	}
	own, err := s.Apply(t.Context(), store.Put("core/own", nil))
	if err != nil {
		t.Fatal(err)
	}
	if e := <-w.Events(); e.Revision != own || len(e.Changes) != 1 || e.Changes[0].Key != "core/own" {
		t.Errorf("event %+v, want one of core/own", e)
	}
	if e := <-all.Events(); e.Revision != foreign || len(e.Changes) != 0 || !e.At.IsZero() {
		t.Errorf("event %+v, want one that says how far the store is, and is no sign of life", e)
	}
}

// Of keys that are to be told events carry the value, opened; of no others.
func TestToldValues(t *testing.T) {
	inner := mem.New(mem.Config{})
	s, err := sealed.New(inner, sealed.Config{Sealer: keys(t), Told: []string{"core/told"}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w, err := s.Watch(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Apply(t.Context(), store.Put("core/told", []byte("v")), store.Put("core/other", []byte("w"))); err != nil {
		t.Fatal(err)
	}
	for _, c := range (<-w.Events()).Changes {
		if want := map[string]string{"core/told": "v"}[c.Key]; string(c.Value) != want {
			t.Errorf("%s is told with %q, want %q", c.Key, c.Value, want)
		}
	}
}

// The vault that is sealed again answers Sealed, whatever is known of names.
func TestSealedKeyring(t *testing.T) {
	b := seal.New(seal.Config{Store: mem.New(mem.Config{})})
	defer b.Close()
	if _, err := b.Init(t.Context(), seal.InitConfig{Shares: 1, Threshold: 1}); err != nil {
		t.Fatal(err)
	}
	k := b.Keyring()
	s := over(t, mem.New(mem.Config{}), k)
	defer s.Close()
	if _, err := s.Apply(t.Context(), store.Put("data/a", []byte("v"))); err != nil {
		t.Fatal(err)
	}
	b.Seal()
	if e, err := s.Get(t.Context(), "data/a"); !errs.Is(err, errs.Sealed) || e.Exists() {
		t.Errorf("Get: %+v, %v", e, err)
	}
	if _, err := s.Apply(t.Context(), store.Put("data/a", nil)); !errs.Is(err, errs.Sealed) {
		t.Errorf("Apply: %v", err)
	}
	if _, err := sealed.New(mem.New(mem.Config{}), sealed.Config{Sealer: k}); !errs.Is(err, errs.Sealed) {
		t.Errorf("New: %v", err)
	}
}

// Names are translated anew and from memory to the same.
func TestNamesAreStable(t *testing.T) {
	k, inner := keys(t), mem.New(mem.Config{})
	first, second := over(t, inner, k), over(t, store.Borrow(inner), k)
	defer first.Close()
	for i := range 10_000 { // more than are remembered
		key := fmt.Sprintf("data/%d/name-%d", i%7, i)
		if _, err := first.Apply(t.Context(), store.Put(key, []byte(key)).If(0)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10_000 {
		key := fmt.Sprintf("data/%d/name-%d", i%7, i)
		for _, s := range []store.Store{first, second} {
			if e, err := s.Get(t.Context(), key); err != nil || string(e.Value) != key {
				t.Fatalf("%s is %q, %v", key, e.Value, err)
			}
		}
	}
	names, err := second.List(t.Context(), "data/3/", "", 0)
	if err != nil || len(names) != 1429 {
		t.Errorf("%d names, %v", len(names), err)
	}
}

func TestPlainPrefixKeepsOrderAndSealsValues(t *testing.T) {
	inner := mem.New(mem.Config{})
	s := over(t, inner, keys(t))
	defer s.Close()
	for _, n := range []string{"3", "1", "2"} {
		if _, err := s.Apply(t.Context(), store.Put("lease/due/"+n, []byte("canary"))); err != nil {
			t.Fatal(err)
		}
	}
	names, err := s.List(t.Context(), "lease/due/", "1", 0)
	if err != nil || strings.Join(names, "") != "23" {
		t.Errorf("names are %q, %v", names, err)
	}
	e, err := inner.Get(t.Context(), "lease/due/1")
	if err != nil || !e.Exists() || bytes.Contains(e.Value, []byte("canary")) {
		t.Errorf("stored as %q, %v", e.Value, err)
	}
}

func BenchmarkGet(b *testing.B) {
	barrier := seal.New(seal.Config{Store: mem.New(mem.Config{})})
	defer barrier.Close()
	if _, err := barrier.Init(b.Context(), seal.InitConfig{Shares: 1, Threshold: 1}); err != nil {
		b.Fatal(err)
	}
	s, err := sealed.New(mem.New(mem.Config{}), sealed.Config{Sealer: barrier.Keyring()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	const key = "data/0b0e6a52-6b1f-4a6e-9c0e-5a1d3d1c2b3a/meta/my-app/config"
	if _, err := s.Apply(b.Context(), store.Put(key, make([]byte, 300))); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Get(b.Context(), key); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkApply writes new keys, as a login does.
func BenchmarkApply(b *testing.B) {
	barrier := seal.New(seal.Config{Store: mem.New(mem.Config{})})
	defer barrier.Close()
	if _, err := barrier.Init(b.Context(), seal.InitConfig{Shares: 1, Threshold: 1}); err != nil {
		b.Fatal(err)
	}
	s, err := sealed.New(mem.New(mem.Config{}), sealed.Config{Sealer: barrier.Keyring()})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	value := make([]byte, 300)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := s.Apply(b.Context(), store.Put(fmt.Sprintf("data/0b0e6a52/meta/my-app/%d", i), value)); err != nil {
			b.Fatal(err)
		}
	}
}

// behind is a sealer that knows the key of a value once it was told to look.
type behind struct {
	*seal.Keyring
	fresh, fails bool
	asked        int
}

func (b *behind) Open(aad, value []byte) ([]byte, error) {
	if !b.fresh {
		return nil, errs.New(errs.Unavailable, "a term of another node")
	}
	return b.Keyring.Open(aad, value)
}

func (b *behind) Refresh(context.Context) error {
	b.asked++
	if b.fails {
		return errs.New(errs.Unavailable, "the store is away")
	}
	b.fresh = true
	return nil
}

// A value under a key that another process has made is read at once, by a look at the keys.
func TestUnknownTerm(t *testing.T) {
	b := &behind{Keyring: keys(t), fails: true}
	s, err := sealed.New(mem.New(mem.Config{}), sealed.Config{Sealer: b})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.Apply(t.Context(), store.Put("a", []byte("v"))); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(t.Context(), "a"); !errs.Is(err, errs.Unavailable) || b.asked != 1 {
		t.Errorf("%v, asked %d times", err, b.asked)
	}
	b.fails = false
	for range 2 {
		if e, err := s.Get(t.Context(), "a"); err != nil || string(e.Value) != "v" || b.asked != 2 {
			t.Errorf("%q, %v, asked %d times", e.Value, err, b.asked)
		}
	}
}
