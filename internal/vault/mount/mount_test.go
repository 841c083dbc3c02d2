package mount

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

func mounts(paths ...string) []*Mount {
	var all []*Mount
	for i, p := range paths {
		all = append(all, &Mount{Entry: Entry{ID: fmt.Sprint(i), Path: p, Accessor: "a" + fmt.Sprint(i)}})
	}
	return all
}

func TestFind(t *testing.T) {
	table := newTable(mounts("sys/", "secret/", "team/a/", "team/a-b/", "auth/token/", "auth/k8s/eu/"))
	for path, want := range map[string]string{
		"secret/data/x":        "secret/ data/x",
		"secret/":              "secret/ ",
		"secret":               "secret/ ",
		"secrets/data/x":       "",
		"secre/x":              "",
		"team/x":               "",
		"team":                 "",
		"team/a":               "team/a/ ",
		"team/a/b/c":           "team/a/ b/c",
		"team/a-b/c":           "team/a-b/ c",
		"auth/token/lookup":    "auth/token/ lookup",
		"auth/k8s/eu/login":    "auth/k8s/eu/ login",
		"auth/k8s/us/login":    "",
		"auth/k8s/eu":          "auth/k8s/eu/ ",
		"":                     "",
		"/":                    "",
		"secret//x":            "secret/ /x",
		"sys/mounts/team/a/xx": "sys/ mounts/team/a/xx",
	} {
		m, rest, ok := table.Find(engine.Namespace{}, path)
		got := ""
		if ok {
			got = m.Path + " " + rest
		}
		if got != want {
			t.Errorf("Find(%q) = %q, want %q", path, got, want)
		}
	}
	if newTable(nil).root.depth != 0 {
		t.Error("an empty table has depth")
	}
	if _, _, ok := newTable(nil).Find(engine.Namespace{}, "a/b"); ok {
		t.Error("an empty table found something")
	}
}

func TestConflict(t *testing.T) {
	table := newTable(mounts("secret/", "team/a/", "auth/token/"))
	for path, want := range map[string]bool{
		"secret/": true, "secret/sub/": true, "secrets/": false, "team/": true, "team/a/": true,
		"team/b/": false, "auth/": true, "auth/kubernetes/": false, "te/": false,
	} {
		if got := table.conflict("", path) != nil; got != want {
			t.Errorf("conflict(%q) = %v, want %v", path, got, want)
		}
	}
}

func TestLookups(t *testing.T) {
	table := newTable(mounts("b/", "a/"))
	if table.ByPath(engine.Namespace{}, "a/").ID != "1" || table.ByID("0").Path != "b/" {
		t.Error("a lookup found the wrong mount")
	}
	if table.ByPath(engine.Namespace{}, "a") != nil || table.ByID("9") != nil {
		t.Error("a lookup found what is not there")
	}
	if all := table.In(engine.Namespace{}); len(all) != 2 || all[0].Path != "a/" {
		t.Error("All is not ordered by path")
	}
}

func TestCleanPath(t *testing.T) {
	for in, want := range map[string]string{
		"secret": "secret/", "/secret/": "secret/", "team/a": "team/a/", "kv-2_x.y": "kv-2_x.y/", "é": "é/",
	} {
		if got, err := CleanPath(in); err != nil || got != want {
			t.Errorf("CleanPath(%q) = %q, %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "/", "a//b", "a/../b", ".", "a/.", "a*", "a+b", "a?b", "a#b", "a%2fb", "a\\b", "a\nb", "a\x00", "\xff", strings.Repeat("x", 300),
	} {
		if got, err := CleanPath(in); !errs.Is(err, errs.Invalid) {
			t.Errorf("CleanPath(%q) = %q, %v, want Invalid", in, got, err)
		}
	}
}

func FuzzCleanPath(f *testing.F) {
	for _, seed := range []string{"secret", "a/b/", "..", "a//b", "\xff", "a*"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		clean, err := CleanPath(in)
		if err != nil {
			return
		}
		again, err := CleanPath(clean)
		if err != nil || again != clean {
			t.Errorf("cleaning %q twice gives %q and %q (%v)", in, clean, again, err)
		}
		if strings.Contains("/"+clean, "/../") || strings.Contains(clean, "//") || !strings.HasSuffix(clean, "/") {
			t.Errorf("CleanPath(%q) = %q", in, clean)
		}
	})
}

func TestConfine(t *testing.T) {
	s := mem.New(mem.Config{})
	defer s.Close()
	outer := txn{store.Begin(s), nil}
	outer.Put("outside", []byte("o"))
	inner := Confine(&outer, "data/1/")
	inner.Put("x", []byte("v"))
	inner.Put("f/y", []byte("v"))
	e, err := inner.Get(t.Context(), "x")
	if err != nil || e.Key != "x" || string(e.Value) != "v" {
		t.Errorf("Get: %+v, %v", e, err)
	}
	if e, err := inner.Get(t.Context(), "../../outside"); err != nil || e.Exists() {
		t.Errorf("a key climbed out: %+v, %v", e, err)
	}
	names, err := inner.List(t.Context(), "", "", 0)
	if err != nil || strings.Join(names, " ") != "f/ x" {
		t.Errorf("List: %q, %v", names, err)
	}
	inner.Delete("x")
	inner.Emit(engine.Event{Type: "t"})
	if len(outer.events) != 1 {
		t.Error("an event was lost")
	}
	if e, err := outer.Get(t.Context(), "data/1/f/y"); err != nil || !e.Exists() {
		t.Errorf("the key is not below the prefix: %+v, %v", e, err)
	}
	if Confine(&outer, "") != engine.Tx(&outer) {
		t.Error("no prefix must be no wrapper")
	}
}

type txn struct {
	*store.Txn
	events []engine.Event
}

func (t *txn) Emit(e engine.Event) { t.events = append(t.events, e) }

// thing is an engine that counts how often it was made and closed.
type thing struct {
	made, closed *int
	setup        error
}

func (e *thing) Routes() []engine.Route {
	read := func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) { return nil, nil }
	return []engine.Route{{Pattern: "x", Summary: "x", Handlers: map[engine.Operation]engine.Handler{engine.Read: read}}}
}
func (e *thing) Close() error { *e.closed++; return nil }
func (e *thing) Setup(_ context.Context, tx engine.Tx) error {
	tx.Put("made", []byte("1"))
	return e.setup
}

type fixture struct {
	*Registry
	t            *testing.T
	store        store.Store
	made, closed int
	setup        error
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, store: mem.New(mem.Config{})}
	factory := func(engine.Config) (engine.Engine, error) {
		f.made++
		return &thing{&f.made, &f.closed, f.setup}, nil
	}
	f.Registry = NewRegistry(Config{
		Store: f.store, Types: func(Class) map[string]engine.Factory {
			return map[string]engine.Factory{"thing": factory, "cubbyhole": factory}
		},
		TTLs: engine.TTLs{Default: time.Hour, Max: 10 * time.Hour},
		Now:  time.Now, Random: rand.Reader, Log: slog.New(slog.DiscardHandler),
		Host: func(*Entry) Host { return Host{} },
	})
	t.Cleanup(func() {
		if err := errors.Join(f.Close(), f.store.Close()); err != nil {
			t.Error(err)
		}
	})
	return f
}

// change runs f in a transaction, commits and reloads.
func (f *fixture) change(do func(tx engine.Tx) error) error {
	f.t.Helper()
	tx := txn{store.Begin(f.store), nil}
	if err := do(&tx); err != nil {
		return err
	}
	if _, err := tx.Commit(f.t.Context()); err != nil {
		return err
	}
	return f.Reload(f.t.Context())
}

func (f *fixture) add(e Entry) error {
	return f.change(func(tx engine.Tx) error { return f.Add(f.t.Context(), tx, &e) })
}

func TestAddTuneMoveRemove(t *testing.T) {
	f := newFixture(t)
	if err := f.add(Entry{Class: Secret, Path: "a/", Type: "thing"}); err != nil {
		t.Fatal(err)
	}
	m := f.Table().ByPath(engine.Namespace{}, "a/")
	if m == nil || m.ID == "" || !strings.HasPrefix(m.Accessor, "thing_") || m.TTLs.Default != time.Hour {
		t.Fatalf("mounted %+v", m)
	}
	if e, _ := f.store.Get(t.Context(), m.Storage()+"made"); !e.Exists() {
		t.Error("Setup wrote nothing below the mount")
	}
	made := f.made
	retune := func(e *Entry) error {
		e.Path, e.Config.MaxTTL, e.Config.DefaultTTL = "b/", 30*time.Minute, time.Hour
		return nil
	}
	if err := f.change(func(tx engine.Tx) error { return f.Update(t.Context(), tx, m.ID, retune) }); err != nil {
		t.Fatal(err)
	}
	moved := f.Table().ByPath(engine.Namespace{}, "b/")
	if moved == nil || f.Table().ByPath(engine.Namespace{}, "a/") != nil || moved.ID != m.ID {
		t.Fatal("the mount did not move")
	}
	if moved.TTLs.Default != 30*time.Minute {
		t.Errorf("default TTL %v is not capped by the mount's maximum", moved.TTLs.Default)
	}
	if f.made != made || moved.Engine != m.Engine {
		t.Error("a tuned mount got another engine")
	}
	if err := f.change(func(tx engine.Tx) error { return f.Remove(t.Context(), tx, moved) }); err != nil {
		t.Fatal(err)
	}
	if f.Table().ByPath(engine.Namespace{}, "b/") != nil || f.closed == 0 {
		t.Error("the mount is there, or its engine was not closed")
	}
	if err := f.Purge(t.Context(), f.store); err != nil {
		t.Fatal(err)
	}
	if e, _ := f.store.Get(t.Context(), m.Storage()+"made"); e.Exists() {
		t.Error("the data of a removed mount is left")
	}
	if names, _ := f.store.List(t.Context(), PurgePrefix, "", 0); len(names) != 0 {
		t.Error("the purge key is left")
	}
}

func TestRefusals(t *testing.T) {
	f := newFixture(t)
	if err := f.add(Entry{Class: System, Path: "sys/", Type: "thing"}); err != nil {
		t.Fatal(err)
	}
	if err := f.add(Entry{Class: Secret, Path: "cubbyhole/", Type: "cubbyhole"}); err != nil {
		t.Fatal(err)
	}
	err := f.add(Entry{Class: Secret, Path: "x/", Type: "nothing"})
	if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "known types: cubbyhole, thing") {
		t.Errorf("an unknown type: %v", err)
	}
	if err := f.add(Entry{Class: Secret, Path: "sys/x/", Type: "thing"}); !errs.Is(err, errs.Exist) || err.Error() != "path is already in use at sys/" {
		t.Errorf("a path below a mount (facts §2.5): %v", err)
	}
	for _, path := range []string{"sys/", "cubbyhole/"} {
		m := f.Table().ByPath(engine.Namespace{}, path)
		if err := f.change(func(tx engine.Tx) error { return f.Remove(t.Context(), tx, m) }); !errs.Is(err, errs.Invalid) {
			t.Errorf("removing %s: %v", path, err)
		}
	}
	same := func(*Entry) error { return nil }
	if err := f.change(func(tx engine.Tx) error { return f.Update(t.Context(), tx, "gone", same) }); !errs.Is(err, errs.NotExist) {
		t.Errorf("changing what is not there: %v", err)
	}
	f.setup = errs.New(errs.Unavailable, "no")
	if err := f.add(Entry{Class: Secret, Path: "z/", Type: "thing"}); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a Setup that fails: %v", err)
	}
}

// Two changes decided on the same table cannot both commit: they might overlap.
func TestConcurrentChangesConflict(t *testing.T) {
	f := newFixture(t)
	one, two := txn{store.Begin(f.store), nil}, txn{store.Begin(f.store), nil}
	for i, tx := range []*txn{&one, &two} {
		e := Entry{Class: Secret, Path: []string{"a/", "a/b/"}[i], Type: "thing"}
		if err := f.Add(t.Context(), tx, &e); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := one.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := two.Commit(t.Context()); !errs.Is(err, errs.Conflict) {
		t.Errorf("the second change: %v, want Conflict", err)
	}
}

// Between the commit of a change and the Reload after it the running table is
// behind; the next change must be decided on what is stored all the same.
func TestChangeBeforeTheReloadOfAnother(t *testing.T) {
	f := newFixture(t)
	commit := func(do func(tx engine.Tx) error) error {
		tx := txn{store.Begin(f.store), nil}
		if err := do(&tx); err != nil {
			return err
		}
		_, err := tx.Commit(t.Context())
		return err
	}
	add := func(tx engine.Tx) error {
		return f.Add(t.Context(), tx, &Entry{Class: Secret, Path: "a/", Type: "thing"})
	}
	if err := commit(add); err != nil {
		t.Fatal(err)
	}
	if err := commit(add); !errs.Is(err, errs.Exist) {
		t.Fatalf("a second mount at one path: %v, want Exist", err)
	}
	m := f.Table().ByPath(engine.Namespace{}, "a/")
	for _, change := range []func(*Entry) error{
		func(e *Entry) error { e.Description = "kept"; return nil },
		func(e *Entry) error { e.Config.MaxTTL = time.Minute; return nil },
	} {
		if err := commit(func(tx engine.Tx) error { return f.Update(t.Context(), tx, m.ID, change) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m := f.Table().ByPath(engine.Namespace{}, "a/"); m.Description != "kept" || m.Config.MaxTTL != time.Minute {
		t.Errorf("one change undid the other: %+v", m.Entry)
	}
}

// A mount with more entries than fit a transaction is purged, also after a
// crash in between.
func TestPurgeIsBoundedAndResumes(t *testing.T) {
	f := newFixture(t)
	const entries = 3*store.MaxChanges + 7
	for i := range entries {
		key := fmt.Sprintf("%sgone/f%d/%d", DataPrefix, i%5, i)
		if _, err := f.store.Apply(t.Context(), store.Put(key, []byte("v"))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.store.Apply(t.Context(), store.Put(PurgePrefix+"gone", []byte("x/"))); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Purge(ctx, f.store); err == nil {
		t.Error("a cancelled purge succeeded")
	}
	if err := f.Purge(t.Context(), f.store); err != nil {
		t.Fatal(err)
	}
	if names, err := f.store.List(t.Context(), DataPrefix, "", 0); err != nil || len(names) != 0 {
		t.Errorf("left after the purge: %q, %v", names, err)
	}
}

func TestDamagedEntries(t *testing.T) {
	for _, value := range []string{"", "{", "{}", `{"id":"1","type":"thing","path":"x"}`, `[]`} {
		if _, err := decodeEntry([]byte(value)); !errs.Is(err, errs.Internal) {
			t.Errorf("decoding %q: %v, want Internal", value, err)
		}
	}
	e := Entry{ID: "1", Class: Secret, Path: "x/", Type: "thing", Options: map[string]string{"version": "2"}}
	back, err := decodeEntry(Encode(&e))
	if err != nil || !bytes.Equal(Encode(back), Encode(&e)) {
		t.Errorf("an entry came back as %+v, %v", back, err)
	}
}

func FuzzDecodeEntry(f *testing.F) {
	f.Add([]byte(`{"id":"1","type":"thing","path":"x/"}`))
	f.Add([]byte(`{"config":{"default_lease_ttl":1e99}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := decodeEntry(raw)
		if err == nil && (e.ID == "" || e.Type == "") {
			t.Errorf("decoded %+v from %q", e, raw)
		}
	})
}
