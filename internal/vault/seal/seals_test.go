package seal

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/seal/rootkey"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/fault"
)

// remote is a key that can be out of reach, or hang until its context ends.
type remote struct {
	Wrapper
	mode atomic.Pointer[string]
	uses atomic.Int32
}

func newRemote(t testing.TB) *remote { return &remote{Wrapper: newKeyfile(t)} }

func (r *remote) set(mode string) { r.mode.Store(&mode) }

func (r *remote) Name() string { return "remote" }

func (r *remote) reach(ctx context.Context) error {
	r.uses.Add(1)
	mode := r.mode.Load()
	switch {
	case mode == nil || *mode == "":
		return nil
	case *mode == "hang":
		<-ctx.Done()
		return ctx.Err()
	case *mode == "denied":
		return errs.New(errs.Denied, "the key service refuses")
	}
	return errs.New(errs.Unavailable, "the key service is away")
}

func (r *remote) Wrap(ctx context.Context, aad []byte, key redact.Secret) ([]byte, error) {
	if err := r.reach(ctx); err != nil {
		return nil, err
	}
	return r.Wrapper.Wrap(ctx, aad, key)
}

func (r *remote) Unwrap(ctx context.Context, aad, blob []byte) (redact.Secret, error) {
	if err := r.reach(ctx); err != nil {
		return redact.Secret{}, err
	}
	return r.Wrapper.Unwrap(ctx, aad, blob)
}

func seals(t testing.TB, b *Barrier) map[string]Info {
	t.Helper()
	list, err := b.Seals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]Info{}
	for _, i := range list {
		all[i.Name] = i
	}
	return all
}

func migrated(t testing.TB, b *Barrier) map[string]Info {
	t.Helper()
	if _, err := b.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return seals(t, b)
}

// One key that hangs delays nothing; one that refuses does not keep another from being asked.
func TestUnsealsByWhicheverAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		hangs, refuses, works := newRemote(t), newRemote(t), newRemote(t)
		all := []Wrapper{Named{Wrapper: hangs, As: "hangs", Within: time.Minute}, Named{Wrapper: refuses, As: "refuses"}, Named{Wrapper: works, As: "works"}}
		b := newBarrier(t, s, all...)
		initialize(t, b, InitConfig{})
		b.Seal()
		hangs.set("hang")
		refuses.set("denied")
		began := time.Now()
		if err := b.AutoUnseal(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d != 0 { // of the bubble's clock: nobody waited
			t.Errorf("a key that hangs delayed the opening by %v", d)
		}
		b.Seal()
		works.set("away")
		began = time.Now()
		err := b.AutoUnseal(t.Context())
		wantKind(t, "no key works", err, errs.Unavailable, "no answer within 1m0s")
		wantKind(t, "no key works", err, errs.Unavailable, "the key service refuses")
		if d := time.Since(began); d != time.Minute {
			t.Errorf("waited %v, not for the deadline of the one that hangs", d)
		}
		refuses.set("")
		hangs.set("away")
		if err := b.AutoUnseal(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A key that is new in the configuration opens the vault from the next look on, without a
// restart; one that is gone stays until it is forgotten; the last one that works is not.
func TestMigratesOnline(t *testing.T) {
	s, old, next := newStore(t), newRemote(t), newRemote(t)
	b := newBarrier(t, s, Named{Wrapper: old, As: "old"})
	shares := initialize(t, b, InitConfig{Shares: 2, Threshold: 2})
	value := sealed(t, b, "v")

	next.set("away")
	b.SetWrappers([]Wrapper{Named{Wrapper: old, As: "old"}, Named{Wrapper: next, As: "next"}})
	if i := migrated(t, b)["next"]; i.Wrapped || !i.Configured || !errs.Is(i.Health.Err, errs.Unavailable) || i.Health.Since.IsZero() {
		t.Errorf("a new key that is away: %+v", i)
	}
	next.set("")
	if i := migrated(t, b)["next"]; !i.Wrapped || i.Health.Err != nil || i.Worked.IsZero() || i.Added.IsZero() {
		t.Errorf("a new key that works: %+v", i)
	}
	opens := func(what string, by ...Wrapper) {
		t.Helper()
		fresh := newBarrier(t, s, by...)
		if err := fresh.AutoUnseal(t.Context()); err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		mustOpen(t, fresh, value, "v")
	}
	opens("the new key", next)
	opens("the old key", old)

	wantKind(t, "forgetting what is configured", b.Forget(t.Context(), "old", "", false), errs.Invalid, "configuration")
	wantKind(t, "forgetting what is not there", b.Forget(t.Context(), "none", "", false), errs.NotExist, "operator seals")
	wantKind(t, "forgetting the shares", b.Forget(t.Context(), "shamir", "", true), errs.NotExist, "operator seals")
	b.SetWrappers([]Wrapper{Named{Wrapper: next, As: "next"}})
	next.set("away")
	wantKind(t, "forgetting the last that works", b.Forget(t.Context(), "old", "", false), errs.Invalid, "shares-only")
	opens("the old key, which was not forgotten", old)
	next.set("")
	if err := b.Forget(t.Context(), "old", "", false); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "a forgotten key", newBarrier(t, s, old).AutoUnseal(t.Context()), errs.NotExist, "")
	opens("the key that stays", next)
	b.SetWrappers(nil)
	wantKind(t, "the last key", b.Forget(t.Context(), "next", "", false), errs.Invalid, "shares-only")
	if err := b.Forget(t.Context(), "next", "", true); err != nil {
		t.Fatal(err)
	}
	last := newBarrier(t, s)
	submit(t, last, shares...)
	mustOpen(t, last, value, "v")
}

// A vault of shares alone gets a key when people open it; and a server with a wrong key does not
// lose its shares for it.
func TestSharesBringANewKey(t *testing.T) {
	s, key := newStore(t), newRemote(t)
	shares := initialize(t, newBarrier(t, s), InitConfig{Shares: 2, Threshold: 2})
	b := newBarrier(t, s, key)
	submit(t, b, shares...)
	if i := migrated(t, b)["remote"]; !i.Wrapped {
		t.Fatalf("%+v", i)
	}
	if i := seals(t, b)["shamir"]; i.Worked.IsZero() {
		t.Errorf("the shares have just opened the vault: %+v", i)
	}
	if err := newBarrier(t, s, key).AutoUnseal(t.Context()); err != nil {
		t.Error(err)
	}
}

// Each key is tried each hour, so that the one that stopped working is known before the start that
// needs it; what worked when is known to a sealed node too.
func TestKeysAreTriedByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, key := newStore(t), newRemote(t)
		b := newBarrier(t, s, key)
		initialize(t, b, InitConfig{})
		synctest.Wait()
		if i := seals(t, b)["remote"]; i.Health.Err != nil || i.Health.Tried.IsZero() {
			t.Fatalf("not tried when it was opened: %+v", i)
		}
		key.set("denied")
		time.Sleep(TryEvery) // of the bubble's clock
		synctest.Wait()
		failing := seals(t, b)["remote"]
		if !errs.Is(failing.Health.Err, errs.Denied) || failing.Health.Since.IsZero() {
			t.Fatalf("it stopped working, and nobody knows: %+v", failing)
		}
		time.Sleep(tryAgain)
		synctest.Wait()
		if i := seals(t, b)["remote"]; i.Health.Since != failing.Health.Since || !i.Health.Tried.After(failing.Health.Tried) {
			t.Errorf("since when it fails is forgotten, or it was not tried again: %+v", i)
		}
		key.set("")
		time.Sleep(tryAgain)
		synctest.Wait()
		if i := seals(t, b)["remote"]; i.Health.Err != nil || !i.Health.Since.IsZero() {
			t.Errorf("it works again: %+v", i)
		}
		worked := seals(t, b)["remote"].Worked
		b.Seal()
		if i := seals(t, newBarrier(t, s, key))["remote"]; !i.Worked.Equal(worked.Truncate(time.Second)) {
			t.Errorf("a sealed node says that it worked at %v, not %v", i.Worked, worked)
		}
	})
}

// Nodes that start together note together what worked.
func TestNotesBesideOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := fault.New(newStore(t))
		s.Add(fault.Rule{Op: fault.Apply, Prefix: WorkedKey, Times: 1, Err: errs.New(errs.Conflict, "another node was faster")})
		b := newBarrier(t, s, newRemote(t))
		initialize(t, b, InitConfig{})
		synctest.Wait()
		if all, _, err := rootkey.ReadWorked(t.Context(), s); err != nil || len(all) != 1 {
			t.Errorf("%d are noted, %v", len(all), err)
		}
	})
}

// What opened the vault is noted at once, whoever is faster, and not by the look of an hour later.
func TestNotesWhatOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		b := newBarrier(t, s)
		shares := initialize(t, b, InitConfig{Shares: 1, Threshold: 1})
		b.Seal()
		for n := range 300 {
			time.Sleep(time.Second) // of the bubble's clock: the record has whole ones
			submit(t, b, shares...)
			synctest.Wait()
			all, _, err := rootkey.ReadWorked(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			for _, at := range all {
				if time.Since(at) > time.Second {
					t.Fatalf("opening %d is not noted: the latest is of %v ago", n+1, time.Since(at))
				}
			}
			if len(all) != 1 {
				t.Fatalf("opening %d is not noted", n+1)
			}
			b.Seal()
		}
	})
}

// A node hears of what another one does with the configuration.
func TestSealsFollowOtherNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		one, two := newBarrier(t, s), newBarrier(t, s)
		shares := initialize(t, one, InitConfig{Shares: 2, Threshold: 2})
		submit(t, two, shares...)
		synctest.Wait()
		from, err := one.People(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d, _, err := one.Redeal(from, shares, 7, 4)
		if err != nil {
			t.Fatal(err)
		}
		if err := one.Adopt(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if st := status(t, two); st.Shares != 7 || st.Threshold != 4 {
			t.Errorf("the other node knows %d of %d", st.Threshold, st.Shares)
		}
	})
}

// open tells whether shares open what lies in s.
func open(t *testing.T, s store.Store, shares []redact.Secret) bool {
	t.Helper()
	b := newBarrier(t, s)
	for _, share := range shares {
		st, err := b.SubmitShare(t.Context(), asHex(share))
		if err != nil {
			return false
		}
		if !st.Sealed {
			return true
		}
	}
	return false
}

// New shares open nothing until they are adopted; then they alone do. A set of version 1 gets
// hashes by it.
func TestRedeal(t *testing.T) {
	s := newStore(t)
	b := newBarrier(t, s)
	old := initialize(t, b, InitConfig{Shares: 3, Threshold: 2})
	asVersion1(t, s)
	from, err := b.People(t.Context())
	if err != nil || from.Hashed {
		t.Fatal(from, err)
	}
	_, _, err = b.Redeal(from, old[:1], 5, 3)
	wantKind(t, "one share of two", err, errs.Invalid, "do not open")
	_, _, err = b.Redeal(from, old[:2], 5, 1)
	wantKind(t, "a threshold of one", err, errs.Invalid, "alone")
	d, fresh, err := b.Redeal(from, old[1:], 5, 3)
	if err != nil || len(fresh) != 5 {
		t.Fatal(err)
	}
	if !open(t, s, old[:2]) || open(t, s, fresh[:3]) {
		t.Error("a draft opens the vault, or has closed it")
	}
	if err := b.Proves(d.Set, fresh[2:]); err != nil {
		t.Errorf("the draft's own shares: %v", err)
	}
	wantKind(t, "shares of the other set", b.Proves(d.Set, old), errs.Invalid, "")
	rival, _, err := b.Redeal(from, old[:2], 1, 1)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // once more changes nothing
		if err := b.Adopt(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	wantKind(t, "a rekey that was slower", b.Adopt(t.Context(), rival), errs.Conflict, "another rekey")
	if open(t, s, old[:2]) || !open(t, s, fresh[:3]) {
		t.Error("after the change not the new shares alone open the vault")
	}
	if now, err := b.People(t.Context()); err != nil || !now.Hashed || now.ID != d.ID {
		t.Errorf("%+v, %v", now, err)
	}
}

// Whatever step storage fails at, before or after it did what it was asked, the old shares open the
// vault or the new ones do: never neither, and never both. The same with keys.
func TestStorageFailsAtEachStep(t *testing.T) {
	for _, after := range []bool{false, true} {
		for step := range 8 {
			s := fault.New(newStore(t))
			b := newBarrier(t, s)
			old := initialize(t, b, InitConfig{Shares: 2, Threshold: 2})
			from, err := b.People(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			d, fresh, err := b.Redeal(from, old, 2, 2)
			if err != nil {
				t.Fatal(err)
			}
			key := newRemote(t)
			b.SetWrappers([]Wrapper{key})
			crash(s, step, after)
			adopted := b.Adopt(t.Context(), d)
			_, _ = b.Migrate(t.Context())
			s.Clear()
			b.Seal() // as if the process were gone: what follows knows the store only
			byOld, byNew := open(t, s, old), open(t, s, fresh)
			if byOld == byNew {
				t.Errorf("step %d after=%v: old shares open %v, new shares open %v", step, after, byOld, byNew)
			}
			if adopted == nil && !byNew {
				t.Errorf("step %d after=%v: adopted, and lost", step, after)
			}
			err = newBarrier(t, s, key).AutoUnseal(t.Context())
			if err != nil && !errs.Is(err, errs.NotExist) {
				t.Errorf("step %d after=%v: a key that is half there: %v", step, after, err)
			}
		}
	}
}

var errCrash = errs.New(errs.Unavailable, "the process is gone")

// crash makes every call from the step-th on fail; after: that first one is done before it fails.
func crash(s *fault.Store, step int, after bool) {
	s.Add(fault.Rule{Skip: step, Times: 1, After: after, Err: errCrash})
	s.Add(fault.Rule{Skip: step, Err: errCrash})
}

// What waits for a key that hangs ends when the vault is sealed.
func TestSealEndsTheTrying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := newRemote(t)
		b := newBarrier(t, newStore(t), Named{Wrapper: key, As: "slow", Within: time.Hour})
		initialize(t, b, InitConfig{})
		synctest.Wait()
		key.set("hang")
		uses := key.uses.Load()
		b.SetWrappers([]Wrapper{Named{Wrapper: key, As: "slow", Within: time.Hour}}) // has it looked at
		synctest.Wait()
		if key.uses.Load() == uses {
			t.Fatal("nobody waits for the key")
		}
		began := time.Now()
		b.Seal()
		if d := time.Since(began); d != 0 {
			t.Errorf("sealing waited %v for a key that hangs", d)
		}
	})
}
