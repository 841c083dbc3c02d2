package namespace

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

type shelf struct {
	*Registry
	store store.Store
	t     testing.TB
}

func newShelf(t testing.TB) *shelf {
	s := mem.New(mem.Config{})
	t.Cleanup(func() { _ = s.Close() })
	return &shelf{NewRegistry(Config{Store: s, Now: time.Now}), s, t}
}

// try runs change in a transaction and commits it if there is no error.
func (s *shelf) try(change func(ctx context.Context, tx *store.Txn) error) error {
	s.t.Helper()
	tx := store.Begin(s.store)
	if err := change(s.t.Context(), tx); err != nil {
		return err
	}
	if _, err := tx.Commit(s.t.Context()); err != nil {
		return err
	}
	return s.Reload(s.t.Context())
}

func (s *shelf) add(paths ...string) {
	s.t.Helper()
	for _, path := range paths {
		err := s.try(func(ctx context.Context, tx *store.Txn) error { _, err := s.Add(ctx, tx, path, nil); return err })
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// §2.1: the deepest namespace that a path begins with, whole names only.
func TestFind(t *testing.T) {
	s := newShelf(t)
	s.add("a/", "a/b/", "a/b/c/", "ab/")
	for path, want := range map[string]string{
		"": " ", "x": " x", "a": " a", "a/": "a/ ", "a/x": "a/ x", "a/b": "a/ b", "a/b/": "a/b/ ", "a/b/x/y": "a/b/ x/y", "a/b/c/d/e": "a/b/c/ d/e",
		"a/c/b/x": "a/ c/b/x", "ab/x": "ab/ x", "abc/x": " abc/x", "b/x": " b/x", "secret/a/x": " secret/a/x", "A/x": " A/x",
	} {
		ns, rest := s.Table().Find(path)
		if got := ns.Path + " " + rest; got != want {
			t.Errorf("Find(%q) = %q, want %q", path, got, want)
		}
		if ns.Path != "" && ns.ID != s.Table().ByPath(ns.Path).ID || ns.Path == "" && ns.ID != engine.RootNamespaceID {
			t.Errorf("Find(%q) has the ID %q", path, ns.ID)
		}
	}
	table := s.Table()
	if got := testing.AllocsPerRun(100, func() { table.Find("a/b/secret/data/x") }); got != 0 {
		t.Errorf("finding allocates %v times", got)
	}
}

func TestTree(t *testing.T) {
	s := newShelf(t)
	s.add("a/", "b/", "a/x/", "a/x/y/")
	ids := map[string]bool{}
	for _, e := range s.Table().Descendants("") {
		if !ValidID(e.ID) || ids[e.ID] || e.UUID == "" {
			t.Errorf("%s has the IDs %q, %q", e.Path, e.ID, e.UUID)
		}
		ids[e.ID] = true
		if ns, ok := s.Table().ByID(e.ID); !ok || ns.Path != e.Path {
			t.Errorf("ByID of %s: %v", e.Path, ns)
		}
	}
	if len(ids) != 4 || len(s.Table().Children("a/")) != 1 || s.Table().Len() != 4 {
		t.Errorf("found %v", ids)
	}
	fail := func(kind errs.Kind, path string) {
		t.Helper()
		err := s.try(func(ctx context.Context, tx *store.Txn) error { _, err := s.Add(ctx, tx, path, nil); return err })
		if !errs.Is(err, kind) {
			t.Errorf("adding %s: %v", path, err)
		}
	}
	fail(errs.Exist, "a/")
	fail(errs.NotExist, "none/x/")
	id := s.Table().ByPath("a/").ID
	if err := s.try(func(ctx context.Context, tx *store.Txn) error { return s.Remove(ctx, tx, id) }); !errs.Is(err, errs.Invalid) {
		t.Errorf("removing what has some below: %v", err)
	}
	for _, path := range []string{"a/x/y/", "a/x/", "a/"} {
		id := s.Table().ByPath(path).ID
		if err := s.try(func(ctx context.Context, tx *store.Txn) error { return s.Remove(ctx, tx, id) }); err != nil {
			t.Fatal(err)
		}
	}
	removed, err := s.Removed(t.Context())
	if err != nil || len(removed) != 3 || s.Table().Len() != 1 {
		t.Errorf("to be purged: %v, %v", removed, err)
	}
	if _, ok := s.Table().ByID(id); ok {
		t.Error("removed and there")
	}
	if err := s.try(func(ctx context.Context, tx *store.Txn) error {
		return s.Update(ctx, tx, id, func(*Entry) error { return nil })
	}); !errs.Is(err, errs.NotExist) {
		t.Errorf("updating what was removed: %v", err)
	}
}

// An ID that was given once is never given again.
func TestIDsAreNeverGivenTwice(t *testing.T) {
	s := newShelf(t)
	zeros := strings.NewReader(strings.Repeat("\x00", 1<<10))
	s.cfg.Random = zeros
	s.add("a/")
	id := s.Table().ByPath("a/").ID
	if err := s.try(func(ctx context.Context, tx *store.Txn) error { return s.Remove(ctx, tx, id) }); err != nil {
		t.Fatal(err)
	}
	err := s.try(func(ctx context.Context, tx *store.Txn) error { _, err := s.Add(ctx, tx, "a/", nil); return err })
	if !errs.Is(err, errs.Exhausted) {
		t.Errorf("the same ID again: %v", err)
	}
}

// Two changes that were decided on the same tree cannot both commit.
func TestConcurrentChangesConflict(t *testing.T) {
	s := newShelf(t)
	s.add("a/")
	one, two, three := store.Begin(s.store), store.Begin(s.store), store.Begin(s.store)
	if _, err := s.Add(t.Context(), one, "a/b/", nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Remove(t.Context(), two, s.Table().ByPath("a/").ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Fresh(t.Context(), three); err != nil { // a mount that looks for a namespace in its way
		t.Fatal(err)
	}
	three.Put("x", []byte("y"))
	if _, err := one.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, tx := range []*store.Txn{two, three} {
		if _, err := tx.Commit(t.Context()); !errs.Is(err, errs.Conflict) {
			t.Errorf("committed: %v", err)
		}
	}
	table, err := s.Fresh(t.Context(), store.Begin(s.store))
	if err != nil || table.ByPath("a/b/") == nil {
		t.Error("Fresh returned a table that is behind")
	}
}

func TestLocks(t *testing.T) {
	s := newShelf(t)
	s.add("a/", "a/b/", "c/")
	lock, key, err := s.NewLock()
	if err != nil {
		t.Fatal(err)
	}
	id := s.Table().ByPath("a/").ID
	if err := s.try(func(ctx context.Context, tx *store.Txn) error {
		return s.Update(ctx, tx, id, func(e *Entry) error { e.Lock, e.Path = lock, "elsewhere/"; return nil })
	}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"": "", "a/": "a/", "a/b/": "a/", "c/": ""} {
		ns, _ := s.Table().Find(path)
		got := ""
		if by := s.Table().LockedBy(ns); by != nil {
			got = by.Path
		}
		if got != want {
			t.Errorf("%q is locked by %q, want %q", path, got, want)
		}
	}
	_, other, _ := s.NewLock()
	stored := s.Table().ByPath("a/").Lock
	if !stored.Opens(key) || stored.Opens(other) || strings.Contains(string(encode(s.Table().ByPath("a/"))), key.RevealString()) {
		t.Error("a lock opens to the wrong key, or holds its key")
	}
}

func TestDamagedEntries(t *testing.T) {
	for _, raw := range []string{"", "{", `{}`, `{"id":"abcde","path":"a"}`, `{"id":"ab/de","path":"a/"}`, `{"id":"abcde","path":"../"}`, `{"id":"abcde","path":"sys/"}`} {
		if e, err := decode([]byte(raw)); !errs.Is(err, errs.Internal) {
			t.Errorf("%s: %v, %v", raw, e, err)
		}
	}
}

func FuzzCleanPath(f *testing.F) {
	for _, s := range []string{"a", "/a/b/", "a//b", "..", "sys", "a*", "Ä", strings.Repeat("a/", 20), "a\x00", "root", "a:b@c=d~e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		clean, err := CleanPath(path)
		if err != nil {
			return
		}
		if again, err := CleanPath(clean); err != nil || again != clean {
			t.Fatalf("%q became %q and that %q, %v", path, clean, again, err)
		}
		if strings.ContainsAny(clean, "*+ %\\") || strings.Contains(clean, "//") || !strings.HasSuffix(clean, "/") || len(clean) > MaxPath {
			t.Fatalf("%q is no path", clean)
		}
		for name := range strings.SplitSeq(strings.TrimSuffix(clean, "/"), "/") {
			if name == "." || name == ".." || name == "sys" || name == "auth" {
				t.Fatalf("%q has the name %q", clean, name)
			}
		}
	})
}

// A thousand tenants must not cost a start.
func BenchmarkReload1000(b *testing.B) {
	s := newShelf(b)
	for part := range 10 {
		if err := s.try(func(ctx context.Context, tx *store.Txn) error {
			for i := range 100 {
				if _, err := s.Add(ctx, tx, fmt.Sprintf("team-%d/", part*100+i), nil); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Reload(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	s := newShelf(b)
	s.add("a/", "a/b/")
	table := s.Table()
	b.ReportAllocs()
	for b.Loop() {
		table.Find("secret/data/my-app/config")
	}
}
