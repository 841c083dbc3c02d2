package keeper_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/room"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/keeper"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/place/address"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

// keys open values that begin with their key.
type keys struct{}

func (keys) Derive(string) (redact.Secret, error) {
	return redact.New(bytes.Repeat([]byte{1}, 32)), nil
}

func (keys) Open(aad, sealed []byte) ([]byte, error) {
	if !bytes.HasPrefix(sealed, aad) {
		return nil, errs.New(errs.Internal, "it does not authenticate")
	}
	return bytes.Clone(sealed[len(aad):]), nil
}

// plain is the view of a store that is not sealed.
func plain(raw store.Store) (store.Store, error) { return store.Borrow(raw), nil }

func noKeys(context.Context, store.Store) (bool, error) { return false, nil }

// world is a vault with a plan called daily.
type world struct {
	*testing.T
	raw, settings *mem.Store
	dir, scratch  string
	now           time.Time
	place         place.Place // nil = the directory
	unseal        func(context.Context, store.Store) (bool, error)
	free          uint64
	*keeper.Keeper
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, raw: mem.New(mem.Config{}), settings: mem.New(mem.Config{}), dir: t.TempDir(), scratch: filepath.Join(t.TempDir(), "scratch")}
	w.now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	w.unseal, w.free = noKeys, 1<<40
	w.put(seal.ConfigKey, `{"vault_id":"0b2f7c1e-52a4-4a3b-9d3e-6b1f7e0c9a11"}`)
	w.put("data/a", "data/a sealed")
	w.put(mount.EntryPrefix+"m", mount.EntryPrefix+"m sealed")
	w.plan(keeper.Plan{Name: "daily", Interval: time.Hour, Retain: 2, Kind: keeper.KindLocal, File: "vault"})
	w.Keeper = keeper.New(keeper.Config{
		Raw: w.raw, Keys: keys{}, Scratch: w.scratch, Version: "1", Decrypt: plain, Unseal: func(ctx context.Context, s store.Store) (bool, error) { return w.unseal(ctx, s) }, Room: func() (room.Space, error) { return room.Space{Free: w.free}, nil }, Log: slog.New(slog.DiscardHandler),
		Now: func() time.Time { return w.now },
		Open: func(context.Context, *keeper.Plan) (place.Place, error) {
			if w.place != nil {
				return w.place, nil
			}
			return place.OpenDirectory(w.dir)
		},
	})
	return w
}

func (w *world) put(key, value string) {
	if _, err := w.raw.Apply(w.Context(), store.Put(key, []byte(value))); err != nil {
		w.Fatal(err)
	}
}

func (w *world) plan(p keeper.Plan) {
	if err := p.Check(); err != nil {
		w.Fatal(err)
	}
	if _, err := w.settings.Apply(w.Context(), store.Put(keeper.Prefix+p.Name, p.Encode())); err != nil {
		w.Fatal(err)
	}
}

// tend tends, and says what is in the directory then.
func (w *world) tend() (next time.Time, files []string) {
	w.Helper()
	next, err := w.Tend(w.Context(), w.settings)
	if err != nil {
		w.Fatal(err)
	}
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		w.Fatal(err)
	}
	for _, e := range entries {
		files = append(files, e.Name())
	}
	if left, _ := os.ReadDir(w.scratch); len(left) != 0 {
		w.Errorf("%d things are left in the scratch directory", len(left))
	}
	return next, files
}

// ask asks for a snapshot, on whichever node.
func (w *world) ask() {
	if _, err := w.settings.Apply(w.Context(), store.Put(keeper.AskedPrefix+"daily", w.now.AppendFormat(nil, time.RFC3339))); err != nil {
		w.Fatal(err)
	}
}

func TestSchedule(t *testing.T) {
	w := newWorld(t)
	next, files := w.tend()
	if !next.Equal(w.now.Add(time.Hour)) || !slices.Equal(files, []string{"vault-20260304T050607Z.snapshot"}) {
		t.Fatal(next, files)
	}
	s := w.States()["daily"]
	if !s.Proven.Equal(w.now) || s.Proof.Entries != 3 || s.Kept != 1 || s.Failures != 0 {
		t.Errorf("%+v", s)
	}
	w.now = w.now.Add(59 * time.Minute)
	if _, files = w.tend(); len(files) != 1 {
		t.Error("one was made that was not due")
	}
	w.ask()
	if _, files = w.tend(); len(files) != 2 {
		t.Error("one that was asked for was not made")
	}
	if _, files = w.tend(); len(files) != 2 {
		t.Error("one was made twice that was asked for once")
	}
	w.now = w.now.Add(time.Hour)
	if err := os.WriteFile(filepath.Join(w.dir, "vault-of-somebody-else"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, files = w.tend()
	if want := []string{"vault-20260304T060507Z.snapshot", "vault-20260304T070507Z.snapshot", "vault-of-somebody-else"}; !slices.Equal(files, want) {
		t.Errorf("%q are kept, not %q", files, want)
	}
	another := keeper.New(keeper.Config{ // another leader, or this one after a restart
		Raw: w.raw, Keys: keys{}, Scratch: w.scratch, Decrypt: plain, Unseal: noKeys, Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler),
		Open: func(context.Context, *keeper.Plan) (place.Place, error) { return place.OpenDirectory(w.dir) },
	})
	next, err := another.Tend(t.Context(), w.settings)
	if err != nil || !next.Equal(w.now.Add(time.Hour)) || !another.States()["daily"].Proven.Equal(w.now) {
		t.Error("what is due is not known to the next leader: ", next, err)
	}
	if _, err := w.settings.Apply(t.Context(), store.Delete(keeper.Prefix+"daily")); err != nil {
		t.Fatal(err)
	}
	w.tend()
	if len(w.States()) != 0 {
		t.Error("a plan that is gone is still told of")
	}
}

// Only what was proven gets a name, and only that has older ones removed.
func TestUnproven(t *testing.T) {
	w := newWorld(t)
	w.tend()
	first := w.now
	w.put("data/b", "of another vault")
	for n := 1; n <= 3; n++ {
		w.now = w.now.Add(time.Hour)
		if _, files := w.tend(); len(files) != 1 {
			t.Fatalf("%q", files)
		}
		s := w.States()["daily"]
		if s.Failures != uint64(n) || s.InARow != n || !s.Proven.Equal(first) || !strings.Contains(s.Error, `"data/b"`) {
			t.Fatalf("%+v", s)
		}
	}
	w.put("data/b", "data/b sealed")
	w.now = w.now.Add(time.Hour)
	if _, files := w.tend(); len(files) != 2 {
		t.Errorf("%q", files)
	}
	if s := w.States()["daily"]; s.InARow != 0 || s.Error != "" || s.Failures != 3 || !s.Proven.Equal(w.now) {
		t.Errorf("%+v", s)
	}
}

// bad is a place that keeps something else than it is given, or nothing.
type bad struct {
	place.Place
	refuse  bool
	deleted []string
}

func (b *bad) Put(ctx context.Context, name string, from io.ReadSeeker, size int64) error {
	if b.refuse {
		return errs.New(errs.Unavailable, "no space left")
	}
	raw, err := io.ReadAll(from)
	if err != nil || int64(len(raw)) != size {
		return errors.Join(err, errs.New(errs.Internal, "the size is wrong"))
	}
	raw[len(raw)/2] ^= 1
	return b.Place.Put(ctx, name, bytes.NewReader(raw), size)
}

func (b *bad) Delete(ctx context.Context, name string) error {
	b.deleted = append(b.deleted, name)
	return b.Place.Delete(ctx, name)
}

func TestBadPlace(t *testing.T) {
	w := newWorld(t)
	dir, err := place.OpenDirectory(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	b := &bad{Place: dir}
	w.place = b
	if _, files := w.tend(); len(files) != 0 || len(b.deleted) != 1 {
		t.Errorf("%q are there, %q were removed", files, b.deleted)
	}
	if s := w.States()["daily"]; !strings.Contains(s.Error, "back from its place") || !strings.Contains(s.Error, "damaged") {
		t.Errorf("%+v", s)
	}
	b.refuse = true
	if next, files := w.tend(); len(files) != 0 || !next.Equal(w.now.Add(5*time.Minute)) {
		t.Errorf("%q, next at %s", files, next)
	}
	if s := w.States()["daily"]; !strings.Contains(s.Error, "no space left") || s.Failures != 2 {
		t.Errorf("%+v", s)
	}
}

// What a crash has left in the scratch directory is in nobody's way.
func TestAfterCrash(t *testing.T) {
	w := newWorld(t)
	if err := os.MkdirAll(filepath.Join(w.scratch, "store"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"snapshot", "store/MANIFEST-1"} {
		if err := os.WriteFile(filepath.Join(w.scratch, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	half := filepath.Join(w.dir, ".strongkeep-draft-vault-20260304T050607Z.snapshot-123")
	if err := os.WriteFile(half, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, files := w.tend(); len(files) != 1 {
		t.Errorf("%q", files)
	}
	f, err := os.Open(filepath.Join(w.dir, "vault-20260304T050607Z.snapshot"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	info, err := snapshot.Check(t.Context(), f)
	if err != nil || info.Authenticate(keys{}) != nil || info.Entries != 3 {
		t.Error(info, err)
	}
}

// A file that says it is of a time to come neither keeps snapshots from being made nor has
// good ones removed.
func TestTimeToCome(t *testing.T) {
	w := newWorld(t)
	w.tend()
	for _, name := range []string{"vault-20991231T000000Z.snapshot", "vault-20991231T000001Z.snapshot"} {
		if err := os.Rename(filepath.Join(w.dir, w.copy("vault-20260304T050607Z.snapshot")), filepath.Join(w.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	w.now = w.now.Add(time.Hour)
	next, files := w.tend()
	if !next.Equal(w.now.Add(time.Hour)) || len(files) != 4 || files[1] != "vault-20260304T060607Z.snapshot" {
		t.Errorf("%v %q", next, files)
	}
	if s := w.States()["daily"]; !s.Proven.Equal(w.now) || s.Kept != 2 || s.Failures != 2 {
		t.Errorf("%+v", s)
	}
}

// copy copies a file of the directory.
func (w *world) copy(name string) string {
	raw, err := os.ReadFile(filepath.Join(w.dir, name))
	if err == nil {
		err = os.WriteFile(filepath.Join(w.dir, "copy"), raw, 0o600)
	}
	if err != nil {
		w.Fatal(err)
	}
	return "copy"
}

// What was spoilt since, or is another's or an older snapshot under a newer name, does not
// count for a node that did not make it: it makes one at once, and what is good stays.
func TestSpoilt(t *testing.T) {
	for what, spoil := range map[string]func(raw []byte) []byte{
		"cut short": func(raw []byte) []byte { return raw[:len(raw)-1] },
		"flipped":   func(raw []byte) []byte { raw[len(raw)/2] ^= 1; return raw },
		"empty":     func([]byte) []byte { return nil },
		"older":     func(raw []byte) []byte { return raw },
		"another's": func([]byte) []byte {
			other := mem.New(mem.Config{})
			if _, err := other.Apply(t.Context(), store.Put(seal.ConfigKey, []byte(`{"vault_id":"0b2f7c1e-52a4-4a3b-9d3e-6b1f7e0c9a11"}`))); err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if _, err := snapshot.Write(t.Context(), &b, snapshot.Source{Store: other, Now: time.Date(2026, 3, 4, 5, 36, 7, 0, time.UTC)}); err != nil {
				t.Fatal(err)
			}
			return b.Bytes()
		},
	} {
		w := newWorld(t)
		w.tend()
		first := w.now
		raw, err := os.ReadFile(filepath.Join(w.dir, "vault-20260304T050607Z.snapshot"))
		if err == nil {
			err = os.WriteFile(filepath.Join(w.dir, "vault-20260304T053607Z.snapshot"), spoil(raw), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(40 * time.Minute)
		if next, files := w.tend(); len(files) != 2 || !next.Equal(first.Add(time.Hour)) {
			t.Errorf("%s: next %v, %q", what, next, files)
		}
		s := w.States()["daily"]
		if !s.Proven.Equal(first) || s.Kept != 1 || s.Failures != 1 || !strings.Contains(s.Error, "vault-20260304T053607Z.snapshot does not count") {
			t.Errorf("%s: %+v", what, s)
		}
		w.now = w.now.Add(time.Hour)
		if _, files := w.tend(); len(files) != 3 {
			t.Errorf("%s: %q", what, files)
		}
		if s = w.States()["daily"]; !s.Proven.Equal(w.now) || s.Kept != 2 || s.Failures != 1 || s.Error != "" {
			t.Errorf("%s: %+v", what, s)
		}
	}
}

// One that was asked for, and could not be made, is made when it can be; and by the next
// leader, if this one has gone.
func TestAskedAndFailed(t *testing.T) {
	w := newWorld(t)
	w.tend()
	dir, err := place.OpenDirectory(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	w.place = &bad{Place: dir, refuse: true}
	w.now = w.now.Add(time.Minute)
	w.ask()
	if _, files := w.tend(); len(files) != 1 {
		t.Fatalf("%q", files)
	}
	w.place = nil
	w.now = w.now.Add(5 * time.Minute)
	if _, files := w.tend(); len(files) != 2 {
		t.Errorf("%q: one that was asked for is forgotten", files)
	}
	w.now = w.now.Add(time.Minute)
	w.ask()
	next := keeper.New(keeper.Config{
		Raw: w.raw, Keys: keys{}, Scratch: w.scratch, Decrypt: plain, Unseal: noKeys, Now: func() time.Time { return w.now.Add(time.Minute) }, Log: slog.New(slog.DiscardHandler),
		Open: func(context.Context, *keeper.Plan) (place.Place, error) { return place.OpenDirectory(w.dir) },
	})
	for range 2 {
		if _, err := next.Tend(t.Context(), w.settings); err != nil {
			t.Fatal(err)
		}
	}
	if names, _ := dir.List(t.Context(), "vault-20260304T0514"); len(names) != 1 {
		t.Errorf("the next leader has made %q", names)
	}
}

// A snapshot that could not be read back has its name taken away, also when what made it is
// told to end meanwhile.
func TestEndedBeforeReadBack(t *testing.T) {
	w := newWorld(t)
	dir, err := place.OpenDirectory(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w.place = &ending{dir, cancel}
	_, _ = w.Tend(ctx, w.settings)
	if names, err := dir.List(t.Context(), "vault-"); err != nil || len(names) != 0 {
		t.Errorf("%q were not read back, and have their names: %v", names, err)
	}
}

// ending is a place that works for as long as who uses it, and ends that once a file is put.
type ending struct {
	place.Place
	end func()
}

func (e *ending) Put(ctx context.Context, name string, from io.ReadSeeker, size int64) error {
	defer e.end()
	return e.Place.Put(ctx, name, from, size)
}

func (e *ending) Delete(ctx context.Context, name string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return e.Place.Delete(ctx, name)
}

// A trial counts, and asks the unseal key: one that opens something else fails it, one that
// is away does not.
func TestTrial(t *testing.T) {
	w := newWorld(t)
	w.put("token/id/a", "token/id/a sealed")
	w.put("token/accessor/a", "token/accessor/a sealed")
	w.put("lease/id/b", "lease/id/b sealed")
	w.unseal = func(ctx context.Context, s store.Store) (bool, error) {
		if e, err := s.Get(ctx, "lease/id/b"); err != nil || !e.Exists() {
			t.Error("it is not asked about what was restored: ", err)
		}
		return true, nil
	}
	w.tend()
	if s := w.States()["daily"]; s.Proof != (keeper.Proof{Proof: snapshot.Proof{Entries: 6, Mounts: 1, Tokens: 1, Leases: 1}, Unsealed: true}) {
		t.Errorf("%+v", s)
	}
	w.unseal = func(context.Context, store.Store) (bool, error) { return false, errs.New(errs.Unavailable, "away") }
	w.now = w.now.Add(time.Hour)
	if _, files := w.tend(); len(files) != 2 || w.States()["daily"].Proof.Unsealed {
		t.Errorf("%q, %+v", files, w.States())
	}
	w.unseal = func(context.Context, store.Store) (bool, error) {
		return false, errs.New(errs.Internal, "it does not open")
	}
	w.now = w.now.Add(time.Hour)
	if _, files := w.tend(); len(files) != 2 || !strings.Contains(w.States()["daily"].Error, "it does not open") {
		t.Errorf("%q, %+v", files, w.States())
	}
	w.unseal = noKeys
	if _, err := w.raw.Apply(t.Context(), store.Delete(mount.EntryPrefix+"m")); err != nil {
		t.Fatal(err)
	}
	if _, files := w.tend(); len(files) != 2 || !strings.Contains(w.States()["daily"].Error, "no mounts") {
		t.Errorf("%q, %+v", files, w.States())
	}
}

// The disk is the vault's first: where it is nearly full no snapshot is tried out on it.
func TestLittleRoom(t *testing.T) {
	w := newWorld(t)
	w.tend()
	w.now, w.free = w.now.Add(time.Hour), 200<<20
	if _, files := w.tend(); len(files) != 1 || !strings.Contains(w.States()["daily"].Error, "200 MiB left") {
		t.Errorf("%q, %+v", files, w.States())
	}
	w.free = 300 << 20
	if _, files := w.tend(); len(files) != 2 {
		t.Errorf("%q, %+v", files, w.States())
	}
}

func TestPlan(t *testing.T) {
	good := keeper.Plan{Name: "daily", Interval: time.Hour, Retain: 3, Kind: "local", Path: "a/b", File: "vault"}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for what, change := range map[string]func(*keeper.Plan){
		"no name": func(p *keeper.Plan) { p.Name = "" }, "a name with a slash": func(p *keeper.Plan) { p.Name = "a/b" },
		"too often": func(p *keeper.Plan) { p.Interval = time.Second }, "none kept": func(p *keeper.Plan) { p.Retain = 0 },
		"no place": func(p *keeper.Plan) { p.Kind = "" }, "upwards": func(p *keeper.Plan) { p.Path = "a/../../b" },
		"absolute": func(p *keeper.Plan) { p.Path = "/etc" }, "a hidden file": func(p *keeper.Plan) { p.File = ".x" },
		"a file elsewhere": func(p *keeper.Plan) { p.File = "../x" }, "an empty folder": func(p *keeper.Plan) { p.Path = "a//b" },
	} {
		p := good
		change(&p)
		if err := p.Check(); !errs.Is(err, errs.Invalid) {
			t.Errorf("%s: %v", what, err)
		}
	}
	in := func(bucket string) *keeper.Plan {
		return &keeper.Plan{Kind: address.S3, File: "vault", Bucket: &address.Bucket{Kind: address.S3, Name: bucket}}
	}
	if !in("a").Shares(in("a")) || in("a").Shares(in("b")) || in("a").Shares(&good) {
		t.Error("plans of one bucket share names, those of others do not")
	}
	s := mem.New(mem.Config{})
	for _, name := range []string{"none", "", "a/b"} {
		if _, err := keeper.Load(t.Context(), s, name); !errs.Is(err, errs.NotExist) {
			t.Errorf("%q: %v", name, err)
		}
	}
}
