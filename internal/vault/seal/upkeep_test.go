package seal

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// brittle is a store that breaks on demand.
type brittle struct {
	store.Store
	mu     sync.Mutex
	before error  // Apply fails with it, having written nothing
	after  error  // Apply fails with it, having written everything
	watch  error  // Watch fails with it
	hook   func() // runs once, ahead of the next Apply
	behind func() // runs once, after the next Apply and before it returns
	writes atomic.Int64
	cuts   []func() // end the watches
}

func (s *brittle) set(before, after, watch error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.after, s.watch = before, after, watch
}

func (s *brittle) Apply(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	s.mu.Lock()
	before, after, hook, behind := s.before, s.after, s.hook, s.behind
	s.hook, s.behind = nil, nil
	s.mu.Unlock()
	if hook != nil {
		hook()
	}
	if before != nil {
		return 0, before
	}
	rev, err := s.Store.Apply(ctx, changes...)
	if err == nil {
		s.writes.Add(1)
		err = after
	}
	if behind != nil {
		behind()
	}
	return rev, err
}

func (s *brittle) Watch(ctx context.Context, prefix string, from store.Revision) (store.Watcher, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watch != nil {
		return nil, s.watch
	}
	w, err := s.Store.Watch(ctx, prefix, from)
	if err == nil {
		s.cuts = append(s.cuts, w.Close)
	}
	return w, err
}

// cut ends every watch, as a store does whose reader was too slow.
func (s *brittle) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, end := range s.cuts {
		end()
	}
	s.cuts = nil
}

func down() error { return errs.New(errs.Unavailable, "the disk is full") }

// use encrypts n times without the cost of it.
func use(b *Barrier, n uint64) { b.keys.ring.Load().use.used.Add(n) }

func encryptions(t *testing.T, b *Barrier) RotationInfo {
	t.Helper()
	synctest.Wait() // for the upkeep
	info, err := b.RotationInfo()
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func single() InitConfig { return InitConfig{Shares: 1, Threshold: 1} }

// Guards the count that keeps a key under 2^32 uses (NIST SP 800-38D, 8.3):
// whatever the moment of a crash, it is not below the truth, and not far above.
func TestCountSurvivesCrashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		b := newBarrier(t, s)
		shares := initialize(t, b, single())
		var truth uint64
		for life, n := range []uint64{0, 1, 10, block/2 + 1, 3*block + 7, 5} {
			for n > block/4 { // storage keeps up with what one block can take
				use(b, block/4)
				sealed(t, b, "wakes the upkeep")
				truth, n = truth+block/4+1, n-block/4
				synctest.Wait()
			}
			use(b, n)
			truth += n
			info := encryptions(t, b)
			if got := info.Encryptions; got < truth || got > truth+uint64(life)*(block+block/2) {
				t.Errorf("life %d: counted %d encryptions of %d", life, got, truth)
			}
			// A crash: nothing is said to the store. Seal says nothing to it either.
			b.Seal()
			b = newBarrier(t, s)
			submit(t, b, shares...)
			if got := encryptions(t, b).Encryptions; got < truth {
				t.Errorf("after crash %d: counted %d encryptions of %d", life+1, got, truth)
			}
		}
	})
}

func TestNodesCountTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		first, second := newBarrier(t, s), newBarrier(t, s)
		shares := initialize(t, first, single())
		submit(t, second, shares...)
		use(first, 1000)
		use(second, 2000)
		third := newBarrier(t, s)
		submit(t, third, shares...)
		if got := encryptions(t, third).Encryptions; got < 3000 {
			t.Errorf("a third node counts %d encryptions of 3000", got)
		}
	})
}

// Guards against a lost update: two nodes take a block at the same moment.
func TestNodesTakeBlocksAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &brittle{Store: newStore(t)}
		first, second := newBarrier(t, s), newBarrier(t, s)
		shares := initialize(t, first, single())
		submit(t, second, shares...)
		before := encryptions(t, first)
		read := func() tally {
			e, err := s.Get(t.Context(), UsageKey)
			if err != nil {
				t.Fatal(err)
			}
			got, newer := tallyOf(first.keys.ring.Load(), usageAAD(first.current().vault), e.Value)
			if newer || got.term != before.Term {
				t.Fatalf("stored: %+v %v", got, newer)
			}
			return got
		}
		was := read()
		s.mu.Lock()
		s.hook = func() { // between the other's read and its write
			if err := second.current().reserve(t.Context(), second.keys.ring.Load()); err != nil {
				t.Error(err)
			}
		}
		s.mu.Unlock()
		if err := first.current().reserve(t.Context(), first.keys.ring.Load()); err != nil {
			t.Error(err)
		}
		if got := read(); got.total != was.total+2*block {
			t.Errorf("two blocks moved the total by %d", got.total-was.total)
		}
	})
}

func TestRotatesByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		b := newBarrierWith(t, Config{Store: s, RotateAfter: 100})
		initialize(t, b, single())
		first := sealed(t, b, "v")
		use(b, 97)
		sealed(t, b, "number 99")
		if info := encryptions(t, b); info.Term != 1 || info.Encryptions != 99 {
			t.Errorf("rotated early: %+v", info)
		}
		sealed(t, b, "number 100")
		if info := encryptions(t, b); info.Term != 2 || info.Due || info.Encryptions != 0 {
			t.Errorf("not rotated: %+v", info)
		}
		mustOpen(t, b, first, "v")
	})
}

// Guards against every node rotating because one key was used enough.
func TestADueRotationHappensOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		first, second := newBarrier(t, s), newBarrier(t, s)
		shares := initialize(t, first, single())
		submit(t, second, shares...)
		for _, b := range []*Barrier{first, second, first} {
			if err := b.current().rotate(t.Context(), 1); err != nil {
				t.Error(err)
			}
		}
		if x, y := encryptions(t, first), encryptions(t, second); x.Term != 2 || y.Term != 2 {
			t.Errorf("terms %d and %d", x.Term, y.Term)
		}
	})
}

// The watch may bring a rotation back before the rotation itself goes on.
func TestWatchFasterThanRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &brittle{Store: newStore(t)}
		b := newBarrier(t, s)
		initialize(t, b, single())
		synctest.Wait()
		s.mu.Lock()
		s.behind = func() {
			if err := b.current().reload(t.Context()); err != nil {
				t.Error(err)
			}
		}
		s.mu.Unlock()
		if _, err := b.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		u := b.keys.ring.Load().use
		if u.granted.Load() < block || u.total() != 0 {
			t.Errorf("granted %d, total %d", u.granted.Load(), u.total())
		}
	})
}

func TestDueAtUnsealRotates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		b := newBarrier(t, s)
		shares := initialize(t, b, single())
		value := sealed(t, b, "v")
		b.Seal()
		// The count is lost: the key must be taken as used up.
		if _, err := s.Apply(t.Context(), store.Delete(UsageKey)); err != nil {
			t.Fatal(err)
		}
		submit(t, b, shares...)
		if info := encryptions(t, b); info.Term != 2 || info.Due {
			t.Errorf("a lost count did not lead to a new key: %+v", info)
		}
		mustOpen(t, b, value, "v")
	})
}

// A count that claims a term nobody made must not stop the counting for good.
func TestCountOfAnAbsurdTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t)
		b := newBarrier(t, s)
		shares := initialize(t, b, single())
		b.Seal()
		if _, err := s.Apply(t.Context(), store.Put(UsageKey, bytes.Repeat([]byte{0xee}, 60))); err != nil {
			t.Fatal(err)
		}
		submit(t, b, shares...)
		if info := encryptions(t, b); info.Term != 2 || info.Encryptions != 0 {
			t.Errorf("after a count of an absurd term: %+v", info)
		}
	})
}

func TestNodesFollowARotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &brittle{Store: newStore(t)}
		a, b := newBarrier(t, s), newBarrier(t, s)
		shares := initialize(t, a, single())
		submit(t, b, shares...)
		rotate := func() {
			t.Helper()
			if _, err := a.Rotate(t.Context()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		rotate()
		mustOpen(t, b, sealed(t, a, "new"), "new")
		mustOpen(t, a, sealed(t, b, "back"), "back")
		if x, y := encryptions(t, a), encryptions(t, b); x.Term != 2 || y.Term != 2 {
			t.Errorf("terms %d and %d", x.Term, y.Term)
		}

		s.cut() // watches end: what happens meanwhile is not lost
		if _, err := a.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * pause) // of the bubble's clock
		synctest.Wait()
		mustOpen(t, b, sealed(t, a, "newer"), "newer")

		s.set(nil, nil, down()) // no watch at all for a while
		s.cut()
		if _, err := a.Rotate(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * pause)
		_, err := b.Keyring().Open([]byte("path"), sealed(t, a, "newest"))
		wantKind(t, "a term that has not arrived", err, errs.Unavailable, "try again")
		s.set(nil, nil, nil)
		time.Sleep(2 * pause)
		mustOpen(t, b, sealed(t, a, "newest"), "newest")
	})
}

// Guards kill -9 in the middle of a rotation: a term is durable before it is
// used, and half a rotation is none.
func TestRotationIsDurableBeforeUse(t *testing.T) {
	for name, c := range map[string]struct {
		before, after error
		term          uint32 // what a fresh process finds
	}{
		"nothing was written":                      {down(), nil, 1},
		"it was written and the answer got lost":   {nil, down(), 2},
		"refused for another reason than conflict": {errs.New(errs.TooLarge, "x"), nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &brittle{Store: newStore(t)}
				b := newBarrier(t, s)
				shares := initialize(t, b, single())
				synctest.Wait()
				s.set(c.before, c.after, down())
				s.cut() // so that the watch does not tell
				_, err := b.Rotate(t.Context())
				if err == nil || !strings.Contains(err.Error(), "writing the rotated keyring") {
					t.Errorf("rotation: %v", err)
				}
				value := sealed(t, b, "v")
				if value[3] != 1 {
					t.Errorf("a term that may not be durable is used: %d", value[3])
				}
				s.set(nil, nil, nil)
				fresh := newBarrier(t, s)
				submit(t, fresh, shares...)
				if info := encryptions(t, fresh); info.Term != c.term {
					t.Errorf("a fresh process finds term %d, want %d", info.Term, c.term)
				}
				mustOpen(t, fresh, value, "v")
				if info, err := b.Rotate(t.Context()); err != nil || info.Term != c.term+1 {
					t.Errorf("rotating again: %+v, %v", info, err)
				}
			})
		})
	}
}

func TestInitWhenStorageFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &brittle{Store: newStore(t)}
		b := newBarrier(t, s)
		s.set(down(), nil, nil)
		_, err := b.Init(t.Context(), single())
		wantKind(t, "nothing written", err, errs.Unavailable, "disk is full")
		s.set(nil, down(), nil)
		_, err = b.Init(t.Context(), single())
		wantKind(t, "written, answer lost", err, errs.Unavailable, "nobody has its shares")
		if st := status(t, b); !st.Initialized || !st.Sealed {
			t.Errorf("after a lost answer: %+v", st)
		}
	})
}

// A full disk must not keep a vault from being opened and read.
func TestUnsealOnAFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := &brittle{Store: newStore(t)}
		first := newBarrier(t, s)
		shares := initialize(t, first, single())
		value := sealed(t, first, "v")
		first.Seal()
		b := newBarrierWith(t, Config{Store: s, Log: slog.New(slog.NewTextHandler(&log, nil))})
		s.set(down(), nil, nil)
		submit(t, b, shares...)
		mustOpen(t, b, value, "v")
		use(b, 50*block)
		sealed(t, b, "refused by the store later, but sealed")
		time.Sleep(3 * pause)
		synctest.Wait()
		if !strings.Contains(log.String(), "disk is full") {
			t.Error("the log does not say what is wrong")
		}
		s.set(nil, nil, nil)
		writes := s.writes.Load()
		time.Sleep(2 * pause)
		synctest.Wait()
		if n := s.writes.Load() - writes; n > 2 {
			t.Errorf("%d writes to make good for a full disk", n)
		}
		fresh := newBarrier(t, s)
		submit(t, fresh, shares...)
		if got := encryptions(t, fresh).Encryptions; got < 50*block+2 {
			t.Errorf("what was used while the disk was full is not counted: %d", got)
		}
	})
}

// Guards against a loop of failing writes as fast as the disk can refuse them.
func TestUpkeepPausesBetweenTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &brittle{Store: newStore(t)}
		b := newBarrier(t, s)
		initialize(t, b, single())
		synctest.Wait()
		tries := 0
		s.mu.Lock()
		s.before = down()
		s.mu.Unlock()
		use(b, block)
		begin := time.Now()
		for time.Since(begin) < 10*pause {
			s.mu.Lock()
			s.hook = func() { tries++ }
			s.mu.Unlock()
			sealed(t, b, "wakes the upkeep")
			time.Sleep(pause / 100)
			synctest.Wait()
		}
		if tries < 5 || tries > 12 {
			t.Errorf("%d tries in %v", tries, 10*pause)
		}
	})
}

func TestStorageIsWrittenOncePerBlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &brittle{Store: newStore(t)}
		b := newBarrier(t, s)
		initialize(t, b, single())
		synctest.Wait()
		before := s.writes.Load()
		for range 8 * 4 {
			use(b, block/4-1)
			sealed(t, b, "v")
			synctest.Wait()
		}
		if n := s.writes.Load() - before; n < 8 || n > 9 {
			t.Errorf("8 blocks of encryptions made %d writes", n)
		}
	})
}

// An unsealed vault says so even when its storage does not answer.
func TestStatusWithoutStorage(t *testing.T) {
	s := newStore(t)
	b := newBarrier(t, s)
	initialize(t, b, InitConfig{})
	other := newBarrier(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if st := status(t, b); st.Sealed || st.Shares != 5 {
		t.Errorf("unsealed: %+v", st)
	}
	_, err := other.Status(t.Context())
	wantKind(t, "sealed", err, errs.Unavailable, "reading the seal configuration")
	_, err = other.SubmitShare(t.Context(), redact.FromString("01"+strings.Repeat("0", 64)))
	wantKind(t, "a share", err, errs.Unavailable, "reading the seal configuration")
}

func TestSealEndsTheUpkeep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // which fails if a goroutine is left
		b := newBarrier(t, newStore(t))
		shares := initialize(t, b, single())
		for range 5 {
			b.Seal()
			submit(t, b, shares...)
		}
		b.Seal()
	})
}
