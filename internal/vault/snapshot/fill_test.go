package snapshot_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

// dying is a process that is killed at one of its writes: before it, or behind it,
// without hearing of it.
type dying struct {
	*mem.Store
	left   *int // writes until then
	behind bool
}

func (d dying) Apply(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	*d.left--
	if *d.left < 0 && (!d.behind || *d.left < -1) {
		return 0, errs.New(errs.Unavailable, "killed")
	}
	rev, err := d.Store.Apply(ctx, changes...)
	if *d.left < 0 && err == nil {
		err = errs.New(errs.Unavailable, "killed")
	}
	return rev, err
}

// crashes are all ways to die, until one is not any more.
func crashes(t *testing.T, run func(t *testing.T, wrap func(*mem.Store) store.Store) (died bool)) {
	for _, behind := range []bool{false, true} {
		for n := 0; ; n++ {
			left := n
			if !run(t, func(s *mem.Store) store.Store { return dying{s, &left, behind} }) {
				if n < 5 {
					t.Errorf("there were %d writes to die at", n)
				}
				break
			}
			if t.Failed() {
				t.Fatalf("died at write %d, behind it: %v", n, behind)
			}
		}
	}
}

func TestRestore(t *testing.T) {
	from := sample(t, 3000)
	file := save(t, from, keys(1))
	to := mem.New(mem.Config{})
	told := uint64(0)
	info, err := snapshot.Restore(t.Context(), bytes.NewReader(file), snapshot.Target{Store: to, Now: now, Tell: func(n uint64) { told = n }})
	if err != nil || info.Entries != 3001 || told != 0 {
		t.Fatal(info, told, err)
	}
	wantSame(t, to, from)
	if err := snapshot.Usable(t.Context(), to); err != nil {
		t.Error(err)
	}
	o, _, err := snapshot.ReadOrigin(t.Context(), to)
	if err != nil || o == nil || !o.Hold || o.By != "restore" || o.Snapshot.VaultID != vaultID {
		t.Fatalf("%+v, %v", o, err)
	}
	_, err = snapshot.Restore(t.Context(), bytes.NewReader(file), snapshot.Target{Store: to, Now: now})
	wantKind(t, err, errs.Exist, "not empty")
	if again := save(t, to, keys(1)); !bytes.Equal(again[200:300], file[200:300]) {
		t.Error("a snapshot of what was restored is another")
	}
	_, err = snapshot.Restore(t.Context(), bytes.NewReader(save(t, from, nil)), snapshot.Target{Store: mem.New(mem.Config{}), Now: now})
	wantKind(t, err, errs.Invalid, "-unsigned")
}

// A damaged snapshot writes nothing at all.
func TestRestoreDamaged(t *testing.T) {
	file := save(t, sample(t, 3000), keys(1))
	file[len(file)-100] ^= 1
	to := mem.New(mem.Config{})
	_, err := snapshot.Restore(t.Context(), bytes.NewReader(file), snapshot.Target{Store: to, Now: now})
	wantKind(t, err, errs.Invalid, "damaged")
	if names, _ := to.List(t.Context(), "", "", 0); len(names) != 0 {
		t.Errorf("%q are in the store", names)
	}
}

// Wherever a restore dies, no server starts on what is there, and the same command ends it.
func TestRestoreCrash(t *testing.T) {
	from := sample(t, 2500)
	file := save(t, from, keys(1))
	crashes(t, func(t *testing.T, wrap func(*mem.Store) store.Store) bool {
		to := mem.New(mem.Config{})
		_, err := snapshot.Restore(t.Context(), bytes.NewReader(file), snapshot.Target{Store: wrap(to), Now: now})
		died := err != nil
		if err := snapshot.Usable(t.Context(), to); err == nil && died {
			if n := len(all(t, to)); n != 0 && n != 2501 {
				t.Errorf("a server would start on %d of 2501 entries", n)
			}
		}
		_, err = snapshot.Restore(t.Context(), bytes.NewReader(file), snapshot.Target{Store: to, Now: now})
		if err != nil && !errs.Is(err, errs.Exist) { // it died when all was done
			t.Error(err)
		}
		wantSame(t, to, from)
		if err := snapshot.Usable(t.Context(), to); err != nil {
			t.Error(err)
		}
		return died
	})
}

// TakeUp holds the leases once, wherever it dies, and never again once they go on.
func TestTakeUp(t *testing.T) {
	file := save(t, sample(t, 5), keys(1))
	restored := func() *mem.Store {
		to := mem.New(mem.Config{})
		if _, err := snapshot.Restore(t.Context(), bytes.NewReader(file), snapshot.Target{Store: to, Now: now}); err != nil {
			t.Fatal(err)
		}
		return to
	}
	wantKind(t, snapshot.TakeUp(t.Context(), restored(), mem.New(mem.Config{}), keys(2)), errs.Invalid, "did not make", "not signed by this vault")
	for n := range 4 {
		raw, open, left := restored(), mem.New(mem.Config{}), n/2
		_ = snapshot.TakeUp(t.Context(), dying{raw, &left, n%2 == 1}, dying{open, &left, n%2 == 1}, keys(1))
		if err := snapshot.TakeUp(t.Context(), raw, open, keys(1)); err != nil {
			t.Fatal(err)
		}
		held, err := open.Get(t.Context(), lease.HeldKey)
		if err != nil || string(held.Value) != "2026-03-04T05:06:07Z" {
			t.Fatalf("leases are not held: %q %v", held.Value, err)
		}
		apply(t, open, store.Delete(lease.HeldKey)) // operator resume-leases
		if err := snapshot.TakeUp(t.Context(), raw, open, keys(1)); err != nil {
			t.Fatal(err)
		}
		if held, _ := open.Get(t.Context(), lease.HeldKey); held.Exists() {
			t.Error("leases are held again after somebody let them go on")
		}
	}
	id, before, err := snapshot.Identity(t.Context(), sample(t, 1))
	same, first, _ := snapshot.Identity(t.Context(), restored())
	_, second, _ := snapshot.Identity(t.Context(), restored())
	if id != vaultID || same != id || before != "" || first == "" || first == second || err != nil {
		t.Errorf("epochs %q, %q, %q of %q and %q, %v", before, first, second, id, same, err)
	}
}

// A server that was started on the empty store does not open what is being restored into it,
// and who makes a vault there at the same moment is not overwritten.
func TestServerOnEmptyStore(t *testing.T) {
	half := mem.New(mem.Config{})
	fillWith(t, half, 5)
	apply(t, half, store.Put(snapshot.FillingKey, []byte(`{"id":"x","by":"restore"}`)))
	wantKind(t, snapshot.TakeUp(t.Context(), half, mem.New(mem.Config{}), keys(1)), errs.Invalid, "half filled")

	made := made{mem.New(mem.Config{}), new(bool)}
	_, err := snapshot.Restore(t.Context(), bytes.NewReader(save(t, sample(t, 5), keys(1))), snapshot.Target{Store: made, Now: now})
	wantKind(t, err, errs.Exist, "somebody else")
	if e, _ := made.Get(t.Context(), seal.ConfigKey); string(e.Value) != "new" || len(all(t, made)) != 1 {
		t.Errorf("a vault that was just made was overwritten: %q", e.Value)
	}
}

// made is an empty store in which somebody makes a vault behind the look that found it empty.
type made struct {
	*mem.Store
	done *bool
}

func (m made) Apply(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	if !*m.done {
		*m.done = true
		if _, err := m.Store.Apply(ctx, store.Put(seal.ConfigKey, []byte("new"))); err != nil {
			return 0, err
		}
	}
	return m.Store.Apply(ctx, changes...)
}

func TestMigrate(t *testing.T) {
	from, to := sample(t, 2500), mem.New(mem.Config{})
	n, err := snapshot.Migrate(t.Context(), snapshot.Move{From: from, To: to, Now: now})
	if err != nil || n != 2501 {
		t.Fatal(n, err)
	}
	wantSame(t, to, from)
	wantKind(t, snapshot.Usable(t.Context(), from), errs.Invalid, "was moved out of this store")
	if err := snapshot.Usable(t.Context(), to); err != nil {
		t.Error(err)
	}
	if o, _, _ := snapshot.ReadOrigin(t.Context(), to); o == nil || o.Hold {
		t.Errorf("%+v", o)
	}
	apply(t, to, store.Put("data/later", nil))
	if n, err := snapshot.Migrate(t.Context(), snapshot.Move{From: from, To: to, Now: now}); n != 0 || err != nil {
		t.Error("the same again: ", n, err)
	}
	_, err = snapshot.Migrate(t.Context(), snapshot.Move{From: from, To: mem.New(mem.Config{}), Now: now})
	wantKind(t, err, errs.Invalid, "has left this store already")
	_, err = snapshot.Migrate(t.Context(), snapshot.Move{From: sample(t, 1), To: sample(t, 1), Now: now})
	wantKind(t, err, errs.Exist, "not empty")
	_, err = snapshot.Migrate(t.Context(), snapshot.Move{From: mem.New(mem.Config{}), To: mem.New(mem.Config{}), Now: now})
	wantKind(t, err, errs.Invalid, "no vault")
}

// A store that several servers share is not left while one of them runs, also if it only
// wakes up when the vault has been copied; afterwards the same command ends the move.
func TestMigrateFromRunning(t *testing.T) {
	for what, c := range map[string]struct {
		begins func(s store.Store) bool
		listen time.Duration // to who runs, it ends with the first word
	}{
		"runs":     {func(store.Store) bool { return true }, time.Minute},
		"wakes up": {func(s store.Store) bool { return snapshot.Usable(t.Context(), s) != nil }, 3 * time.Second},
	} {
		from, to := sample(t, 50), mem.New(mem.Config{})
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			alive := time.NewTicker(time.Millisecond)
			defer alive.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-alive.C:
				}
				if c.begins(from) {
					apply(t, from, store.Put("core/leader-alive", nil))
				}
			}
		}()
		_, err := snapshot.Migrate(t.Context(), snapshot.Move{From: from, To: to, Now: now, Listen: c.listen})
		wantKind(t, err, errs.Unavailable, "still runs")
		if len(all(t, to)) > 0 && snapshot.Usable(t.Context(), to) == nil {
			t.Errorf("%s: there is a vault in both stores", what)
		}
		stop()
		<-ended
		if _, err := snapshot.Migrate(t.Context(), snapshot.Move{From: from, To: to, Now: now, Listen: 50 * time.Millisecond}); err != nil {
			t.Error(what, err)
		}
		wantSame(t, to, from)
	}
}

// A vault that was restored and moved before anybody opened it still has its leases held.
func TestMigrateKeepsHold(t *testing.T) {
	middle, to := mem.New(mem.Config{}), mem.New(mem.Config{})
	if _, err := snapshot.Restore(t.Context(), bytes.NewReader(save(t, sample(t, 5), keys(1))), snapshot.Target{Store: middle, Now: now}); err != nil {
		t.Fatal(err)
	}
	if _, err := snapshot.Migrate(t.Context(), snapshot.Move{From: middle, To: to, Now: now}); err != nil {
		t.Fatal(err)
	}
	if o, _, err := snapshot.ReadOrigin(t.Context(), to); err != nil || o == nil || !o.Hold || o.MAC == "" || o.By != "migrate" {
		t.Errorf("%+v, %v", o, err)
	}
}

// Wherever a migration dies there is never a vault in both stores, nor in none, and the
// same command ends it.
func TestMigrateCrash(t *testing.T) {
	crashes(t, func(t *testing.T, wrap func(*mem.Store) store.Store) bool {
		from, to := sample(t, 2500), mem.New(mem.Config{})
		_, err := snapshot.Migrate(t.Context(), snapshot.Move{From: wrap(from), To: wrap(to), Now: now})
		died := err != nil
		there := snapshot.Usable(t.Context(), from) == nil
		here := snapshot.Usable(t.Context(), to) == nil && len(all(t, to)) > 0
		if there && here {
			t.Error("a server would start on both stores")
		}
		n, err := snapshot.Migrate(t.Context(), snapshot.Move{From: from, To: to, Now: now})
		if err != nil || n != 2501 && n != 0 {
			t.Error(n, err)
		}
		wantSame(t, to, from)
		if snapshot.Usable(t.Context(), from) == nil || snapshot.Usable(t.Context(), to) != nil {
			t.Error("the vault has not moved")
		}
		return died
	})
}

// bent is a store that changes one value on its way in.
type bent struct{ *mem.Store }

func (b bent) Apply(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	changes = slices.Clone(changes)
	for i := range changes {
		if changes[i].Key == "data/f0/n000700" {
			changes[i].Value = []byte("bent")
		}
	}
	return b.Store.Apply(ctx, changes...)
}

// What does not lie as it was written makes no vault, and the one that was stays.
func TestCompare(t *testing.T) {
	from := sample(t, 1000)
	to := bent{mem.New(mem.Config{})}
	_, err := snapshot.Migrate(t.Context(), snapshot.Move{From: from, To: to, Now: now})
	wantKind(t, err, errs.Internal, "differs", "data/f0/n000700")
	if err := snapshot.Usable(t.Context(), from); err != nil {
		t.Error(err)
	}
	wantKind(t, snapshot.Usable(t.Context(), to), errs.Invalid, "half filled")
	to = bent{mem.New(mem.Config{})}
	_, err = snapshot.Restore(t.Context(), bytes.NewReader(save(t, from, keys(1))), snapshot.Target{Store: to, Now: now})
	wantKind(t, err, errs.Internal, "differs")
	wantKind(t, snapshot.Usable(t.Context(), to), errs.Invalid, "half filled")
	_, err = snapshot.Migrate(t.Context(), snapshot.Move{From: from, To: to, Now: now})
	wantKind(t, err, errs.Exist, "restore")
}

// A file is a store that answers as the one it was made of.
func TestOpen(t *testing.T) {
	s := sample(t, 4000)
	apply(t, s, store.Put("data/f1", []byte("beside its folder")), store.Put("data/f10", nil), store.Put("zero", nil))
	file := save(t, s, keys(1))
	f, err := snapshot.Open(t.Context(), bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	wantSame(t, f, s)
	for _, key := range []string{"data/f0/n000000", "data/f3/n000003", "data/f6/n003996", "zero", "core/seal-config", "data/f1", "data/none", "a", "zz", "/", ""} {
		want, _ := s.Get(t.Context(), key)
		got, err := f.Get(t.Context(), key)
		if err != nil || got.Exists() != want.Exists() || !bytes.Equal(got.Value, want.Value) {
			t.Errorf("%q: %v %v", key, got, err)
		}
	}
	for _, c := range []struct {
		folder, after string
		limit         int
	}{{"", "", 0}, {"data/", "", 0}, {"data/", "f1", 2}, {"data/f1/", "", 0}, {"data/f1/", "n000309", 7}, {"none/", "", 0}, {"data/", "f1/", 1}} {
		want, _ := s.List(t.Context(), c.folder, c.after, c.limit)
		got, err := f.List(t.Context(), c.folder, c.after, c.limit)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%+v: %q, want %q, %v", c, got, want, err)
		}
	}
	_, err = f.Apply(t.Context(), store.Put("a", nil))
	wantKind(t, err, errs.Unsupported, "cannot be written")
	if rev, err := f.Apply(t.Context()); err != nil || rev != f.Info().Revision {
		t.Error(rev, err)
	}
	_, err = f.Apply(t.Context(), store.Check("zero", 0))
	wantKind(t, err, errs.Conflict)
}

// What a person finds in a store says in the clear what it is.
func TestMarksAreReadable(t *testing.T) {
	from := sample(t, 1)
	if _, err := snapshot.Migrate(t.Context(), snapshot.Move{From: from, To: mem.New(mem.Config{}), Now: now}); err != nil {
		t.Fatal(err)
	}
	e, _ := from.Get(t.Context(), snapshot.MovedKey)
	var m map[string]any
	if err := json.Unmarshal(e.Value, &m); err != nil || m["by"] != "migrate" || m["time"] != "2026-03-04T05:06:07Z" || fmt.Sprint(m["id"]) == "" {
		t.Errorf("%s %v", e.Value, err)
	}
	apply(t, from, store.Put(snapshot.MovedKey, []byte("?")))
	wantKind(t, snapshot.Usable(t.Context(), from), errs.Internal, "damaged")
}
