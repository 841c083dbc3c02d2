package cached_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/cached"
	"github.com/strongkeep/strongkeep/internal/vault/store/fault"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

// A read that has fetched an entry and is slow to return must not leave it in
// the cache when the key changed meanwhile, whoever changed it.
func TestSlowFillKeepsNothingOld(t *testing.T) {
	for name, change := range map[string]func(b *bench){
		"own write":      func(b *bench) { b.own(put("a", "2")) },
		"foreign write":  func(b *bench) { b.foreign(put("a", "2")) },
		"own delete":     func(b *bench) { b.own(store.Delete("a")); b.own(put("a", "2")) },
		"lost watch":     func(b *bench) { b.fault.LoseWatches(nil); b.foreign(put("a", "2")) },
		"unknown result": unknownWrite,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, cached.Config{})
				b.foreign(put("a", "1"))
				synctest.Wait()
				hold := make(chan struct{})
				b.fault.Add(fault.Rule{Op: fault.Get, After: true, Hold: hold, Times: 1})
				read := make(chan string)
				go func() { read <- string(b.get("a").Value) }()
				synctest.Wait() // "1" is fetched and held
				change(b)
				time.Sleep(time.Second) // of the bubble: a lost watch has come back
				synctest.Wait()
				close(hold)
				if got := <-read; got != "1" {
					t.Fatalf("the slow read brought %q, so this test shows nothing", got)
				}
				if e := b.get("a"); string(e.Value) != "2" {
					t.Errorf("after the slow read the key is %q, want 2", e.Value)
				}
			})
		})
	}
}

func unknownWrite(b *bench) {
	remove := b.fault.Add(fault.Rule{Op: fault.Apply, After: true, Err: errs.New(errs.Unavailable, "perhaps")})
	defer remove()
	if _, err := b.cache.Apply(b.Context(), put("a", "2")); !errs.Is(err, errs.Unavailable) {
		b.Errorf("Apply: %v", err)
	}
}

// Two writes of one key whose answers come in the other order.
func TestOvertakingWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cached.Config{})
		hold := make(chan struct{})
		b.fault.Add(fault.Rule{Op: fault.Apply, After: true, Hold: hold, Times: 1})
		// A rule that holds and makes the call first answers a nil error.
		done := make(chan error)
		go func() { _, err := b.cache.Apply(t.Context(), put("a", "older")); done <- err }()
		synctest.Wait() // "older" is written, its answer held
		b.own(put("a", "newer"))
		b.wantRead("a", "newer", false) // not kept while a write is under way
		close(hold)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		b.wantRead("a", "newer", true)
	})
}

func TestWriteUnderWayIsNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cached.Config{})
		b.own(put("a", "1"))
		synctest.Wait() // for the echo: what is read while it is under way is not kept
		b.wantRead("a", "1", false)
		b.wantRead("a", "1", true)
		hold := make(chan struct{})
		b.fault.Add(fault.Rule{Op: fault.Apply, After: true, Hold: hold, Times: 1})
		done := make(chan error)
		go func() { _, err := b.cache.Apply(t.Context(), put("a", "2")); done <- err }()
		synctest.Wait()
		b.wantRead("a", "2", false)
		b.wantRead("a", "2", false)
		b.foreign(put("a", "3")) // newer than the write under way
		synctest.Wait()
		close(hold)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		b.wantRead("a", "3", false)
		b.wantRead("a", "3", true)
	})
}

// A write that may have been made spoils what an older one would leave.
func TestUnknownWriteAmidAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cached.Config{})
		b.fault.Mute() // the watch shall not help
		defer b.fault.Unmute()
		hold := make(chan struct{})
		b.fault.Add(fault.Rule{Op: fault.Apply, After: true, Hold: hold, Times: 1})
		done := make(chan error)
		go func() { _, err := b.cache.Apply(t.Context(), put("a", "older")); done <- err }()
		synctest.Wait()
		b.fault.Add(fault.Rule{Op: fault.Apply, After: true, Times: 1, Err: errs.New(errs.Unavailable, "perhaps")})
		if _, err := b.cache.Apply(t.Context(), put("a", "newer")); !errs.Is(err, errs.Unavailable) {
			t.Fatal(err)
		}
		close(hold)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		b.wantRead("a", "newer", false)
	})
}

// A write and a read that were under way while the watch was lost: changes in
// between were not noticed, so that nothing may be kept of them.
func TestUnderWayWhileTheWatchIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cached.Config{Retry: time.Second})
		b.own(put("read", "1"))
		hold := make(chan struct{})
		b.fault.Add(fault.Rule{Op: fault.Apply, Prefix: "written", After: true, Hold: hold, Times: 1})
		b.fault.Add(fault.Rule{Op: fault.Get, Prefix: "read", After: true, Hold: hold, Times: 1})
		done := make(chan error)
		go func() { _, err := b.cache.Apply(t.Context(), put("written", "1")); done <- err }()
		synctest.Wait()
		b.fault.LoseWatches(errs.New(errs.Exhausted, "lost"))
		synctest.Wait()
		go func() { _, err := b.cache.Get(t.Context(), "read"); done <- err }()
		synctest.Wait()
		b.foreign(put("written", "2"), put("read", "2"))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if !b.cache.Stats().Live {
			t.Fatal("the watch did not come back, so this test shows nothing")
		}
		close(hold)
		for range 2 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		b.wantRead("written", "2", false)
		b.wantRead("read", "2", false)
	})
}

// Whoever sees a foreign change in a watch must not read an older state after.
func TestForeignChangeInAWatchThenGet(t *testing.T) {
	b := newBench(t, cached.Config{})
	w, err := b.cache.Watch(t.Context(), "shown", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for range 500 {
		b.get("other")
		rev := b.foreign(put("shown", "x"), put("other", "x"))
		if e := <-w.Events(); e.Revision != rev {
			t.Fatalf("event %d, want %d", e.Revision, rev)
		}
		if e := b.get("other"); e.Revision != rev {
			t.Fatalf("the watch showed revision %d, Get then %d", rev, e.Revision)
		}
	}
}

func TestUnknownOutcomeIsReadAnew(t *testing.T) {
	for _, after := range []bool{true, false} {
		b := newBench(t, cached.Config{})
		b.own(put("a", "1"))
		remove := b.fault.Add(fault.Rule{Op: fault.Apply, After: after, Err: errs.New(errs.Unavailable, "perhaps")})
		if _, err := b.cache.Apply(t.Context(), put("a", "2")); !errs.Is(err, errs.Unavailable) {
			t.Errorf("Apply: %v", err)
		}
		remove()
		want := "1"
		if after {
			want = "2"
		}
		b.wantRead("a", want, false)
	}
}

// Guards against a transaction that conflicts for ever, since what it reads
// again comes from memory and the watch is late.
func TestConflictIsFollowedByAFreshRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cached.Config{})
		b.keep("read", "written")
		b.own(put("read", "1"), put("written", "1"))
		b.fault.Mute()
		defer b.fault.Unmute()
		b.foreign(put("read", "2"), put("written", "2"))
		run := func() error {
			txn := store.Begin(b.cache)
			for _, key := range []string{"read", "written"} {
				if _, err := txn.Get(t.Context(), key); err != nil {
					return err
				}
			}
			txn.Put("written", []byte("3"))
			_, err := txn.Commit(t.Context())
			return err
		}
		if err := run(); !errs.Is(err, errs.Conflict) {
			t.Fatalf("the first run: %v, want a conflict", err)
		}
		if err := run(); err != nil {
			t.Errorf("the second run: %v", err)
		}
	})
}

func TestLostWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cached.Config{Retry: time.Second})
		b.keep("a")
		b.own(put("a", "1"))
		b.wantRead("a", "1", true)
		remove := b.fault.Add(fault.Rule{Op: fault.Watch, Err: errs.New(errs.Unavailable, "no network")})
		b.fault.LoseWatches(errs.New(errs.Exhausted, "lost"))
		synctest.Wait()
		if st := b.cache.Stats(); st.Live || st.Entries != 0 {
			t.Errorf("without a watch: %+v", st)
		}
		b.foreign(put("a", "2"))
		b.wantRead("a", "2", false)
		b.wantRead("a", "2", false)
		b.own(put("a", "3"))
		b.wantRead("a", "3", false)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		b.wantRead("a", "3", false)

		remove()
		b.foreign(put("a", "4"))
		time.Sleep(time.Second)
		synctest.Wait()
		if st := b.cache.Stats(); !st.Live {
			t.Fatalf("with a watch again: %+v", st)
		}
		b.wantRead("a", "4", false)
		b.wantRead("a", "4", true)
		b.foreign(put("a", "5"))
		synctest.Wait()
		b.wantRead("a", "5", false)
	})
}

func TestWatchThatCannotStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cached.Config{})
		_ = b.cache.Close()

		b = newBench(t, cached.Config{})
		b.fault.Add(fault.Rule{Op: fault.Watch, Times: 3, Err: errs.New(errs.Unavailable, "no network")})
		late := cached.New(store.Borrow(b.fault), cached.Config{Retry: time.Second, Log: slog.New(slog.DiscardHandler)})
		defer late.Close()
		if late.Stats().Live {
			t.Error("live without a watch")
		}
		if _, err := late.Get(t.Context(), "a"); err != nil {
			t.Errorf("reading through: %v", err)
		}
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if !late.Stats().Live {
			t.Error("not live though the watch works again")
		}
	})
}

func TestSilentWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 10 * time.Second
		b := newBench(t, cached.Config{MaxSilence: most, Retry: time.Second})
		b.keep("a")
		rev := b.own(put("a", "1"))
		for range 20 { // signs of life keep the cache for any time
			time.Sleep(most / 2)
			b.fault.Pulse(rev, time.Now())
			synctest.Wait()
			b.wantRead("a", "1", true)
		}

		b.fault.Mute()
		b.foreign(put("a", "2"))
		time.Sleep(most)
		b.wantRead("a", "1", true) // the longest time a revoked token lives
		time.Sleep(time.Nanosecond)
		b.wantRead("a", "2", false)
		synctest.Wait()
		b.wantRead("a", "2", false)

		b.fault.Unmute()
		synctest.Wait()
		if b.cache.Stats().Live {
			t.Error("live before a sign of life")
		}
		b.fault.Pulse(rev+1, time.Now().Add(-most-1)) // one that was on its way for too long
		synctest.Wait()
		b.wantRead("a", "2", false)
		b.fault.Pulse(rev+1, time.Now())
		synctest.Wait()
		if !b.cache.Stats().Live {
			t.Error("not live after the silence")
		}
		b.get("a")
		b.wantRead("a", "2", true)
	})
}

// A watch of a node that lags brings events without end, each of them late: that
// must not keep a revoked token alive.
func TestLateEventsAreNoSignOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 10 * time.Second
		b := newBench(t, cached.Config{MaxSilence: most, Retry: time.Hour})
		b.keep("a")
		rev := b.own(put("a", "1"))
		b.wantRead("a", "1", true)
		for range 4 {
			time.Sleep(most / 5)
			b.foreign(put("other", "x"))
			synctest.Wait()
			b.wantRead("a", "1", true)
		}
		b.fault.Pulse(rev, time.Now().Add(-most/5)) // as old as its proof
		synctest.Wait()
		for range 5 {
			time.Sleep(most / 5)
			b.foreign(put("other", "x"))
			synctest.Wait()
		}
		b.wantRead("a", "1", false)
	})
}

// Whoever saw a newer state in the silence must not be thrown back by an event
// that was under way all the time.
func TestLateEventDoesNotReviveTheCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 10 * time.Second
		b := newBench(t, cached.Config{MaxSilence: most, Retry: time.Hour})
		b.own(put("a", "1"))
		synctest.Wait()
		b.fault.Mute()
		old := b.foreign(put("other", "x"))
		b.foreign(put("a", "2"))
		time.Sleep(most + 1)
		b.wantRead("a", "2", false)
		go b.fault.Pulse(old, time.Now().Add(-most))
		b.fault.Unmute()
		synctest.Wait()
		b.wantRead("a", "2", false)
	})
}

// byHand is a store whose first watch, which is the cache's, brings what the test sends.
type byHand struct {
	store.Store
	events chan store.Event
	others bool
}

func (b *byHand) Watch(ctx context.Context, prefix string, from store.Revision) (store.Watcher, error) {
	if b.others {
		return b.Store.Watch(ctx, prefix, from)
	}
	b.others = true
	return hand{b.events}, nil
}

type hand struct{ events chan store.Event }

func (h hand) Events() <-chan store.Event { return h.events }
func (hand) Err() error                   { return nil }
func (hand) Close()                       {}

// Who was shown an event while the cache was off does not find the state before it when the cache is on
// again, though the cache's own watch is behind.
func TestCacheComesBackBehindNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 10 * time.Second
		base := mem.New(mem.Config{})
		way := &byHand{Store: base, events: make(chan store.Event, 10)}
		b := &bench{T: t, base: base, cache: cached.New(way, cached.Config{MaxSilence: most, Retry: time.Hour, Log: slog.New(slog.DiscardHandler)})}
		defer b.cache.Close()
		rev := b.foreign(put("a", "1"))
		w, err := b.cache.Watch(t.Context(), "", rev)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		way.events <- store.Event{Revision: rev, Changes: []store.Change{put("a", "1")}}
		synctest.Wait()
		b.get("a")
		b.wantRead("a", "1", true)
		newer := b.foreign(put("a", "2"))
		synctest.Wait()
		if len(w.Events()) != 0 {
			t.Error("an event is shown of which the cache has not taken note")
		}
		time.Sleep(most + most/2 + 2) // until the cache notices the silence
		synctest.Wait()
		if e := <-w.Events(); e.Revision != newer {
			t.Errorf("event %+v, want one of %d", e, newer)
		}
		way.events <- store.Event{Revision: rev, At: time.Now()}
		synctest.Wait()
		if b.cache.Stats().Live {
			t.Error("the cache is believed, and is older than what was shown")
		}
		b.wantRead("a", "2", false)
		way.events <- store.Event{Revision: newer, Changes: []store.Change{put("a", "2")}}
		synctest.Wait()
		if !b.cache.Stats().Live {
			t.Error("the cache does not come back")
		}
	})
}

// A store that never gives a sign of life and is never written to keeps its cache.
func TestNoSilenceLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, cached.Config{})
		b.keep("a")
		b.own(put("a", "1"))
		time.Sleep(1000 * time.Hour)
		b.wantRead("a", "1", true)
	})
}

func TestClosedCacheForgets(t *testing.T) {
	b := newBench(t, cached.Config{})
	b.own(put("a", "1"))
	if err := b.cache.Close(); err != nil {
		t.Fatal(err)
	}
	if st := b.cache.Stats(); st.Live || st.Entries != 0 || st.Bytes != 0 {
		t.Errorf("after Close: %+v", st)
	}
}
