package lease_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/expiry"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/fault"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

// leaser ends leases in memory and fails where the test says.
type leaser struct {
	mu    sync.Mutex
	ended map[string][]time.Time // attempts by path
	fail  func(ctx context.Context, l *engine.Leased) error
}

func (l *leaser) RenewLease(_ context.Context, tx engine.Tx, in *engine.Leased) (*engine.Lease, error) {
	tx.Put("renewed/"+in.Role, nil)
	return &engine.Lease{TTL: in.Increment, Renewable: true}, nil
}

func (l *leaser) RevokeLease(ctx context.Context, tx engine.Tx, in *engine.Leased) error {
	l.mu.Lock()
	if l.ended == nil {
		l.ended = map[string][]time.Time{}
	}
	l.ended[in.Path] = append(l.ended[in.Path], time.Now())
	fail := l.fail
	l.mu.Unlock()
	tx.Put("ended/by-"+in.Role, nil)
	if fail != nil {
		return fail(ctx, in)
	}
	return nil
}

func (l *leaser) attempts(path string) []time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended[path]
}

// world is a manager with an expirer on mounts "a" and "b".
type world struct {
	*lease.Manager
	t       *testing.T
	store   *fault.Store
	expirer *expiry.Expirer
	mounts  map[string]*leaser
	tokens  map[string]bool // those that are dead
	log     text
}

// text is what was logged.
type text struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.buf.Write(p)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.buf.String()
}

func newWorld(t *testing.T, held bool) *world { return newWorldOf(t, held, false) }

func newWorldOf(t *testing.T, held, shared bool) *world {
	t.Helper()
	w := &world{t: t, store: fault.New(mem.New(mem.Config{})), mounts: map[string]*leaser{"a": {}, "b": {}}, tokens: map[string]bool{}}
	log := slog.New(slog.NewTextHandler(&w.log, nil))
	w.Manager = lease.NewManager(lease.ManagerConfig{
		Store: w.store, Log: log, Shared: shared,
		Owner: w.owner,
		Alive: func(_ context.Context, _ lease.Reader, key string) (bool, error) { return !w.tokens[key], nil },
		Wake:  func(kind string) { w.expirer.Wake(kind) }, Hold: func(held bool) { w.expirer.Hold(held) },
	})
	w.expirer = expiry.Start(expiry.Config{Store: w.store, Kinds: w.Kinds(), Log: log, Held: held})
	for id := range w.mounts {
		w.expirer.Add(w.Kind(id))
	}
	t.Cleanup(func() {
		if err := errors.Join(w.expirer.Close(), w.store.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) owner(id string) (lease.Owner, bool) {
	l, ok := w.mounts[id]
	return lease.Owner{ID: id, Path: id + "/", Storage: "data/" + id + "/", TTLs: engine.TTLs{Default: time.Minute, Max: time.Hour}, Leaser: l}, ok
}

func (w *world) issue(mount, path string, l engine.Lease, h lease.Holder) *lease.Record {
	w.t.Helper()
	o, _ := w.owner(mount)
	tx := store.Begin(w.store)
	l.Tracked = true
	rec, _, err := w.Issue(tx, lease.Ask{Owner: o, Path: path, Holder: h}, &l)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := tx.Commit(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.Made(rec)
	return rec
}

func (w *world) find(id string) *lease.Record {
	w.t.Helper()
	rec, err := w.Find(w.t.Context(), w.store, engine.Namespace{}, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return rec
}

// left returns every key of leases there is.
func (w *world) left() (keys []string) {
	w.t.Helper()
	folders := []string{"lease/", "leases/"}
	for len(folders) > 0 {
		names, err := w.store.List(w.t.Context(), folders[0], "", 0)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, name := range names {
			if key, ok := strings.CutPrefix(folders[0]+name, "lease/holder/"); ok && !w.tokens[key] {
				continue // goes with its token
			}
			if strings.HasSuffix(name, "/") {
				folders = append(folders, folders[0]+name)
			} else {
				keys = append(keys, folders[0]+name)
			}
		}
		folders = folders[1:]
	}
	return keys
}

func synced(t *testing.T, held bool, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newWorld(t, held)) })
}

func TestLeaseEndsInTimeAndLeavesNothing(t *testing.T) {
	synced(t, false, func(t *testing.T, w *world) {
		var recs []*lease.Record
		for i := range 50 {
			recs = append(recs, w.issue("a", fmt.Sprintf("creds/r%d", i), engine.Lease{TTL: time.Duration(i+1) * time.Second}, lease.Holder{TokenKey: "tok"}))
		}
		time.Sleep(70 * time.Second)
		for i, rec := range recs {
			at := w.mounts["a"].attempts(rec.Path)
			if len(at) != 1 || at[0].Before(rec.Expires) || at[0].Sub(rec.Expires) > 4*time.Second {
				t.Errorf("%d: expires %v, ended %v", i, rec.Expires, at)
			}
		}
		if left := w.left(); len(left) != 0 {
			t.Errorf("%d left, the first %q", len(left), left[0])
		}
		if s := w.Stats(); s.Issued != 50 || s.Revoked != 50 || s.Failed != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestRenewedLeaseGoesOn(t *testing.T) {
	synced(t, false, func(t *testing.T, w *world) {
		rec := w.issue("a", "creds/r", engine.Lease{TTL: 10 * time.Second, MaxTTL: time.Hour, Renewable: true, Role: "r"}, lease.Holder{})
		for range 5 {
			time.Sleep(9 * time.Second)
			tx := store.Begin(w.store)
			got, _, err := w.Renew(t.Context(), emitting{tx}, w.find(rec.ID), 10*time.Second)
			if err != nil || got.TTL != 10*time.Second {
				t.Fatal(got, err)
			}
			if _, err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if len(w.mounts["a"].attempts("creds/r")) != 0 {
			t.Error("ended although it was renewed")
		}
		time.Sleep(15 * time.Second)
		if len(w.mounts["a"].attempts("creds/r")) != 1 || len(w.left()) != 0 {
			t.Errorf("left %q", w.left())
		}
	})
}

type emitting struct{ *store.Txn }

func (emitting) Emit(engine.Event) {}

// §5.4: growing pauses, a bound on attempts, then daily; what failed writes
// nothing of its engine's; a success at last leaves nothing.
func TestBackoffUntilIrrevocable(t *testing.T) {
	synced(t, false, func(t *testing.T, w *world) {
		l := w.mounts["a"]
		l.fail = func(context.Context, *engine.Leased) error {
			return errs.New(errs.Unavailable, strings.Repeat("no database ", 100))
		}
		rec := w.issue("a", "creds/r", engine.Lease{TTL: time.Second, Role: "r"}, lease.Holder{TokenKey: "tok"})
		time.Sleep(3 * time.Hour)
		at := l.attempts(rec.Path)
		if len(at) != 10 {
			t.Fatalf("%d attempts in 3 hours, want 10", len(at))
		}
		for i := 2; i < len(at); i++ {
			if at[i].Sub(at[i-1]) < at[i-1].Sub(at[i-2]) && at[i].Sub(at[i-1]) < time.Hour {
				t.Errorf("the pause before attempt %d is shorter: %v", i, at)
			}
		}
		n := 0
		err := w.Irrevocable(t.Context(), w.store, engine.Namespace{}, "a", func(r *lease.Record) bool {
			n++
			if r.Attempts != 10 || len(r.LastError) > 600 || !strings.HasPrefix(r.LastError, "no database") {
				t.Errorf("%+v", r)
			}
			return true
		})
		if err != nil || n != 1 || strings.Count(w.log.String(), "a lease is irrevocable") != 1 {
			t.Errorf("%d irrevocable, %v", n, err)
		}
		if e, _ := w.store.Get(t.Context(), "data/a/ended/by-r"); e.Exists() {
			t.Error("what a failed attempt wrote was kept")
		}
		if w.find(rec.ID) != nil {
			t.Error("a lease that ended is found")
		}
		time.Sleep(48 * time.Hour)
		if n := len(l.attempts(rec.Path)); n != 12 {
			t.Errorf("%d attempts two days later, want 12", n)
		}
		l.mu.Lock()
		l.fail = nil
		l.mu.Unlock()
		if n, err := w.Tidy(t.Context(), "a"); n != 1 || err != nil {
			t.Error(n, err)
		}
		time.Sleep(3 * time.Second)
		if left := w.left(); len(left) != 0 {
			t.Errorf("%d left, the first %q", len(left), left[0])
		}
	})
}

// A database that hangs holds up no other mount, and within its mount no other
// role for long, however many of its leases are due.
func TestOneDeadDatabaseHoldsUpNoOther(t *testing.T) {
	synced(t, false, func(t *testing.T, w *world) {
		hang := func(ctx context.Context, l *engine.Leased) error {
			if l.Role == "dead" {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		w.mounts["a"].fail = hang
		for i := range 300 {
			w.issue("a", fmt.Sprintf("creds/dead%d", i), engine.Lease{TTL: time.Second, Role: "dead"}, lease.Holder{})
		}
		alive := w.issue("a", "creds/alive", engine.Lease{TTL: 2 * time.Second, Role: "alive"}, lease.Holder{})
		other := w.issue("b", "creds/other", engine.Lease{TTL: 2 * time.Second, Role: "x"}, lease.Holder{})
		time.Sleep(8 * time.Second)
		if len(w.mounts["b"].attempts(other.Path)) != 1 {
			t.Error("another mount was held up")
		}
		time.Sleep(4 * time.Minute)
		if len(w.mounts["a"].attempts(alive.Path)) != 1 {
			t.Error("another role was held up for four minutes")
		}
	})
}

// A panic of an engine is a failed attempt.
func TestPanickingEngine(t *testing.T) {
	synced(t, false, func(t *testing.T, w *world) {
		w.mounts["a"].fail = func(context.Context, *engine.Leased) error { panic("the password is canary") }
		w.issue("a", "creds/r", engine.Lease{TTL: time.Second}, lease.Holder{})
		time.Sleep(20 * time.Second)
		if n := len(w.mounts["a"].attempts("creds/r")); n < 2 || strings.Contains(w.log.String(), "canary") {
			t.Errorf("%d attempts, log %s", n, w.log.String())
		}
	})
}

func TestHeldNothingEnds(t *testing.T) {
	synced(t, true, func(t *testing.T, w *world) {
		if held, err := w.Restore(t.Context(), true); !held || err != nil {
			t.Fatal(held, err)
		}
		rec := w.issue("a", "creds/r", engine.Lease{TTL: time.Second}, lease.Holder{})
		time.Sleep(time.Hour)
		if len(w.mounts["a"].attempts(rec.Path)) != 0 {
			t.Fatal("a held lease was ended")
		}
		if w.find(rec.ID) != nil {
			t.Error("an expired lease is found")
		}
		if held, err := w.Restore(t.Context(), false); !held || err != nil { // a restart without the flag
			t.Error(held, err)
		}
		if err := w.RevokeNow(t.Context(), engine.Namespace{}, w.issue("a", "creds/now", engine.Lease{}, lease.Holder{}).ID); err != nil {
			t.Error("whoever asks for it gets it:", err)
		}
		tx := store.Begin(w.store)
		if err := w.Hold(t.Context(), tx, false); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.SetHeld(false)
		time.Sleep(2 * time.Second)
		if left := w.left(); len(left) != 0 {
			t.Errorf("%d left, the first %q", len(left), left[0])
		}
	})
}

// While a secret is made its lease may end; what is made then must be ended.
func TestLeaseThatEndsBeforeItsSecretIsMade(t *testing.T) {
	synced(t, false, func(t *testing.T, w *world) {
		rec := w.issue("a", "creds/r", engine.Lease{TTL: time.Second, Role: "r"}, lease.Holder{TokenKey: "tok"})
		time.Sleep(5 * time.Second) // the database takes so long
		if n := len(w.mounts["a"].attempts(rec.Path)); n != 1 {
			t.Fatalf("%d attempts", n)
		}
		if err := w.Confirm(t.Context(), rec); !errs.Is(err, errs.Unavailable) {
			t.Errorf("confirmed: %v", err)
		}
		// Who confirms and the worker may both end it: that is safe to do twice.
		if n := len(w.mounts["a"].attempts(rec.Path)); n < 2 {
			t.Errorf("what was made is left: %d attempts", n)
		}
		if left := w.left(); len(left) != 0 {
			t.Errorf("%d left, the first %q", len(left), left[0])
		}
		living := w.issue("a", "creds/s", engine.Lease{}, lease.Holder{})
		if err := w.Confirm(t.Context(), living); err != nil {
			t.Error(err)
		}
	})
}

// A node that finds that a lease ended while its secret was made may not reach the store at that moment, as one
// that was stopped and comes back: nobody else knows of what it made.
func TestLeaseThatEndedIsPutBackWhenTheStoreIsBack(t *testing.T) {
	synced(t, false, func(t *testing.T, w *world) {
		rec := w.issue("a", "creds/r", engine.Lease{TTL: time.Second, Role: "r"}, lease.Holder{})
		time.Sleep(5 * time.Second) // the database takes so long
		before := len(w.mounts["a"].attempts(rec.Path))
		away := fault.Rule{Err: errs.New(errs.Unavailable, "the store is away")}
		time.AfterFunc(10*time.Second, w.store.Add(away))
		if err := w.Confirm(t.Context(), rec); !errs.Is(err, errs.Unavailable) {
			t.Errorf("confirmed: %v", err)
		}
		if n := len(w.mounts["a"].attempts(rec.Path)); n <= before {
			t.Errorf("what was made is left: %d attempts, and %d before", n, before)
		}
		time.Sleep(time.Minute)
		if left := w.left(); len(left) != 0 {
			t.Errorf("%d left, the first %q", len(left), left[0])
		}
		w.store.Add(away) // for longer than anybody waits
		if err := w.Confirm(t.Context(), rec); !errs.Is(err, errs.Unavailable) || !strings.Contains(w.log.String(), "may be left") {
			t.Errorf("%v; logged: %s", err, w.log.String())
		}
		w.store.Clear()
	})
}

// What could not be made and cannot be ended now is ended later.
func TestFail(t *testing.T) {
	synced(t, false, func(t *testing.T, w *world) {
		down := errs.New(errs.Unavailable, "down")
		w.mounts["a"].fail = func(context.Context, *engine.Leased) error { return down }
		rec := w.issue("a", "creds/r", engine.Lease{TTL: time.Hour}, lease.Holder{})
		if err := w.Fail(t.Context(), rec, down); !errors.Is(err, down) {
			t.Error(err)
		}
		if w.find(rec.ID) != nil {
			t.Error("it is found")
		}
		w.mounts["a"].mu.Lock()
		w.mounts["a"].fail = nil
		w.mounts["a"].mu.Unlock()
		time.Sleep(time.Minute) // of the test's clock: two tries may have failed
		if left := w.left(); len(left) != 0 {
			t.Errorf("%d left, the first %q", len(left), left[0])
		}
	})
}

// A lease whose secret was surely not made is forgotten, and its engine not asked.
func TestFailUnmade(t *testing.T) {
	synced(t, false, func(t *testing.T, w *world) {
		w.mounts["a"].fail = func(context.Context, *engine.Leased) error {
			t.Error("the engine is asked to end it")
			return nil
		}
		rec := w.issue("a", "creds/r", engine.Lease{TTL: time.Hour}, lease.Holder{})
		refused := errs.Newf(errs.Invalid, "creating: %w", engine.Unmade(errs.New(errs.Invalid, "refused")))
		for range 2 { // the second time it is not there any more
			if err := w.Fail(t.Context(), rec, refused); !errors.Is(err, refused) {
				t.Error(err)
			}
		}
		if left := w.left(); w.find(rec.ID) != nil || len(left) != 0 {
			t.Errorf("%d left", len(left))
		}
		time.Sleep(2 * time.Hour)
	})
}

// The end of a token ends its leases: at once for those who look, and in the
// background for the engine, however many there are.
func TestTokenGone(t *testing.T) {
	synced(t, false, func(t *testing.T, w *world) {
		var mine []*lease.Record
		for i := range 200 {
			mine = append(mine, w.issue("a", fmt.Sprint("creds/", i), engine.Lease{TTL: time.Hour}, lease.Holder{TokenKey: "tok"}))
		}
		other := w.issue("a", "creds/x", engine.Lease{TTL: time.Hour}, lease.Holder{TokenKey: "other"})
		w.tokens["tok"] = true
		tx := store.Begin(w.store)
		if err := w.Manager.TokenGone(t.Context(), tx, "tok"); err != nil || tx.Writes() != 2 {
			t.Fatal(tx.Writes(), err)
		}
		if _, err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if w.find(mine[0].ID) != nil || w.find(other.ID) == nil {
			t.Error("who looks finds the wrong ones")
		}
		time.Sleep(10 * time.Second)
		if n, err := w.Count(t.Context(), w.store, "a"); n != 1 || err != nil {
			t.Errorf("%d are left, %v", n, err)
		}
	})
}

// A lease that is committed while its token is being revoked ends with it: the
// revocation must not go by what it saw before.
func TestTokenGoneAndLeaseMadeMeanwhile(t *testing.T) {
	synced(t, false, func(t *testing.T, w *world) {
		tx := store.Begin(w.store)
		if err := w.Manager.TokenGone(t.Context(), tx, "tok"); err != nil {
			t.Fatal(err)
		}
		tx.Put("token/gone", nil)
		rec := w.issue("a", "creds/x", engine.Lease{TTL: time.Hour}, lease.Holder{TokenKey: "tok"})
		w.tokens["tok"] = true
		if _, err := tx.Commit(t.Context()); !errs.Is(err, errs.Conflict) {
			t.Fatalf("the revocation that saw no lease was committed: %v", err)
		}
		tx = store.Begin(w.store)
		if err := w.Manager.TokenGone(t.Context(), tx, "tok"); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		if n := len(w.mounts["a"].attempts(rec.Path)); n != 1 {
			t.Errorf("the engine was told %d times of the end", n)
		}
		if left := w.left(); len(left) != 0 {
			t.Errorf("left: %q", left)
		}
	})
}

// Class of CVE-2026-40264: a lease of another namespace is not there, for
// whatever is asked of it.
func TestCVE202640264LeasesOfOtherNamespaces(t *testing.T) {
	synced(t, false, func(t *testing.T, w *world) {
		team := engine.Namespace{ID: "abcde", Path: "team/"}
		o, _ := w.owner("a")
		tx := store.Begin(w.store)
		rec, _, err := w.Issue(tx, lease.Ask{Owner: o, Namespace: team, Path: "creds/r"}, &engine.Lease{Tracked: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(rec.ID, ".abcde") {
			t.Errorf("id %q", rec.ID)
		}
		plain := strings.TrimSuffix(rec.ID, ".abcde")
		for _, ns := range []engine.Namespace{{}, {ID: "fghij", Path: "other/"}, {ID: "klmno", Path: "team/dev/"}} {
			for _, id := range []string{rec.ID, plain, "team/" + rec.ID} {
				if found, err := w.Find(t.Context(), w.store, ns, id); found != nil || err != nil {
					t.Errorf("%v finds %q: %v", ns, id, err)
				}
				tx := store.Begin(w.store)
				if err := w.Revoke(t.Context(), tx, ns, id); err != nil || tx.Writes() != 0 {
					t.Errorf("%v revokes %q: %v", ns, id, err)
				}
				if err := w.RevokeNow(t.Context(), ns, id); err != nil {
					t.Error(err)
				}
			}
			if n, err := w.RevokePrefix(t.Context(), ns, "a"); n != 0 || err != nil {
				t.Errorf("%v revokes %d by prefix, %v", ns, n, err)
			}
			if err := w.EndPrefix(t.Context(), ns, "a", true); err != nil {
				t.Error(err)
			}
			if names, err := w.List(t.Context(), w.store, ns, "", lease.Page{}); len(names) != 0 || err != nil {
				t.Errorf("%v lists %q, %v", ns, names, err)
			}
		}
		if found, err := w.Find(t.Context(), w.store, team, rec.ID); found == nil || err != nil {
			t.Error("it is lost to its own namespace", err)
		}
		if n := len(w.mounts["a"].attempts("creds/r")); n != 0 {
			t.Errorf("ended %d times", n)
		}
	})
}

func TestPrefixes(t *testing.T) {
	synced(t, false, func(t *testing.T, w *world) {
		for i := range 300 {
			w.issue("a", fmt.Sprintf("creds/x/%d", i%3), engine.Lease{TTL: time.Hour}, lease.Holder{})
		}
		near := w.issue("a", "creds/xy", engine.Lease{TTL: time.Hour}, lease.Holder{})
		if n, err := w.RevokePrefix(t.Context(), engine.Namespace{}, "a/creds/x/1"); n != 100 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if err := w.EndPrefix(t.Context(), engine.Namespace{}, "a/creds/x", false); err != nil {
			t.Error(err)
		}
		if n, err := w.Count(t.Context(), w.store, "a"); n != 1 || err != nil || w.find(near.ID) == nil {
			t.Errorf("%d are left, %v", n, err)
		}
		w.mounts["a"].fail = func(context.Context, *engine.Leased) error { return errors.New("no") }
		if err := w.EndMount(t.Context(), "a"); !errs.Is(err, errs.Unavailable) {
			t.Errorf("the mount may go with leases left: %v", err)
		}
		if err := w.EndPrefix(t.Context(), engine.Namespace{}, "a", true); err != nil {
			t.Error(err)
		}
		if left := w.left(); len(left) != 0 {
			t.Errorf("%d left, the first %q", len(left), left[0])
		}
		w.issue("a", "creds/z", engine.Lease{TTL: time.Hour}, lease.Holder{TokenKey: "t"})
		if err := w.Drop(t.Context(), w.store, "a"); err != nil || len(w.left()) != 0 {
			t.Errorf("dropped: %v, left %q", err, w.left())
		}
	})
}

func TestLifetimes(t *testing.T) {
	synced(t, false, func(t *testing.T, w *world) {
		for name, c := range map[string]struct {
			lease engine.Lease
			until time.Duration
			want  time.Duration
			warn  string
		}{
			"the mount's default":  {engine.Lease{}, 0, time.Minute, ""},
			"the role's":           {engine.Lease{TTL: 90 * time.Second}, 0, 90 * time.Second, ""},
			"over the mount's max": {engine.Lease{TTL: 2 * time.Hour}, 0, time.Hour, `TTL of "2h0m0s" exceeded the effective max_ttl of "1h0m0s"`},
			"over the role's max":  {engine.Lease{TTL: time.Hour, MaxTTL: time.Minute * 2}, 0, 2 * time.Minute, `max_ttl of "2m0s"`},
			"a role's max over it": {engine.Lease{TTL: 3 * time.Hour, MaxTTL: 2 * time.Hour}, 0, time.Hour, `max_ttl of "1h0m0s"`},
			"a batch token":        {engine.Lease{TTL: time.Hour}, 30 * time.Second, 30 * time.Second, "batch token"},
			"fractions":            {engine.Lease{TTL: 1500 * time.Millisecond}, 0, time.Second, ""},
		} {
			o, _ := w.owner("a")
			h := lease.Holder{}
			if c.until > 0 {
				h.Until = time.Now().Add(c.until)
			}
			rec, warnings, err := w.Issue(store.Begin(w.store), lease.Ask{Owner: o, Path: "p", Holder: h}, &c.lease)
			if err != nil || c.lease.TTL != c.want || rec.Expires.Sub(rec.Issued) != c.want {
				t.Errorf("%s: %v, %v", name, c.lease.TTL, err)
			}
			if text := strings.Join(warnings, " "); (text == "") != (c.warn == "") || !strings.Contains(text, c.warn) {
				t.Errorf("%s: warnings %q", name, warnings)
			}
		}
		o, _ := w.owner("a")
		if _, _, err := w.Issue(store.Begin(w.store), lease.Ask{Owner: o, Holder: lease.Holder{Until: time.Now()}}, &engine.Lease{}); !errs.Is(err, errs.Invalid) {
			t.Errorf("a token that ends now: %v", err)
		}
	})
}

// Where nodes have clocks of their own, nothing is ended that another node may still renew: that
// it has expired is committed first.
func TestExpiredIsCommittedBeforeItIsEnded(t *testing.T) {
	for _, shared := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorldOf(t, false, shared)
			slow := lease.NewManager(lease.ManagerConfig{ // a node whose clock is behind
				Store: w.store, Owner: w.owner, Now: func() time.Time { return time.Now().Add(-time.Hour) },
				Alive: func(context.Context, lease.Reader, string) (bool, error) { return true, nil },
			})
			var renewable atomic.Bool
			rec := w.issue("a", "creds/r", engine.Lease{TTL: time.Minute, Renewable: true}, lease.Holder{})
			l := w.mounts["a"]
			l.mu.Lock()
			l.fail = func(ctx context.Context, _ *engine.Leased) error {
				found, err := slow.Find(ctx, w.store, engine.Namespace{}, rec.ID)
				if err != nil {
					t.Error(err)
				}
				renewable.Store(found != nil)
				return nil
			}
			l.mu.Unlock()
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if n := len(l.attempts("creds/r")); n != 1 || renewable.Load() == shared {
				t.Errorf("shared %v: %d attempts, and another node could still renew it: %v", shared, n, renewable.Load())
			}
			if left := w.left(); len(left) != 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}
