package cached_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/cached"
	"github.com/strongkeep/strongkeep/internal/vault/store/fault"
	"github.com/strongkeep/strongkeep/internal/vault/store/feed"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
	"github.com/strongkeep/strongkeep/internal/vault/store/storetest"
)

func TestStore(t *testing.T) {
	for name, cfg := range map[string]cached.Config{
		"roomy":   {},
		"crowded": {MaxBytes: 16 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Run(t, func(*testing.T) store.Store { return cached.New(mem.New(mem.Config{}), cfg) }, storetest.Options{
				Forgetful: func(*testing.T) store.Store {
					return cached.New(mem.New(mem.Config{History: feed.Config{Events: 64}}), cfg)
				},
			})
		})
	}
}

// A decorator that is closed must not answer, though the store below stays open.
func TestStoreOverBorrowed(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		base := mem.New(mem.Config{})
		t.Cleanup(func() { _ = base.Close() })
		return cached.New(store.Borrow(base), cached.Config{})
	}, storetest.Options{})
}

// bench is a cache over a store that others can write to and that can fail.
type bench struct {
	*testing.T
	base  *mem.Store
	fault *fault.Store
	cache *cached.Store
}

func newBench(t *testing.T, cfg cached.Config) *bench {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	base := mem.New(mem.Config{})
	f := fault.New(base)
	b := &bench{T: t, base: base, fault: f, cache: cached.New(f, cfg)}
	t.Cleanup(func() { _ = b.cache.Close() })
	return b
}

// foreign writes past the cache, as another node would.
func (b *bench) foreign(changes ...store.Change) store.Revision {
	b.Helper()
	return b.write(b.base, changes...)
}

func (b *bench) own(changes ...store.Change) store.Revision {
	b.Helper()
	return b.write(b.cache, changes...)
}

// keep has the cache keep the keys, and what is written to them.
func (b *bench) keep(keys ...string) {
	b.Helper()
	for _, key := range keys {
		b.get(key)
	}
}

func (b *bench) write(s store.Store, changes ...store.Change) store.Revision {
	b.Helper()
	rev, err := s.Apply(b.Context(), changes...)
	if err != nil {
		b.Fatal(err)
	}
	return rev
}

func (b *bench) get(key string) store.Entry {
	b.Helper()
	e, err := b.cache.Get(b.Context(), key)
	if err != nil {
		b.Fatal(err)
	}
	return e
}

// wantRead checks the value ("-" = absent) and whether it came from memory.
func (b *bench) wantRead(key, value string, hit bool) {
	b.Helper()
	before := b.cache.Stats()
	e := b.get(key)
	got := string(e.Value)
	if !e.Exists() {
		got = "-"
	}
	if got != value {
		b.Errorf("%s is %q, want %q", key, got, value)
	}
	if wasHit := b.cache.Stats().Hits > before.Hits; wasHit != hit {
		b.Errorf("%s came from memory: %v, want %v", key, wasHit, hit)
	}
}

// settle waits until the cache has taken note of everything written so far.
func (b *bench) settle() {
	b.Helper()
	w, err := b.cache.Watch(b.Context(), "settle", 0)
	if err != nil {
		b.Fatal(err)
	}
	defer w.Close()
	b.foreign(store.Put("settle", nil))
	if _, ok := <-w.Events(); !ok {
		b.Fatal(w.Err())
	}
}

func put(key, value string) store.Change { return store.Put(key, []byte(value)) }

func TestWhatIsKept(t *testing.T) {
	b := newBench(t, cached.Config{})
	b.foreign(put("a", "1"))
	b.settle()
	b.wantRead("a", "1", false)
	b.wantRead("a", "1", true)
	b.wantRead("absent", "-", false)
	b.wantRead("absent", "-", true)

	b.own(put("a", "2"), put("new", "n"), put("absent", "x"))
	b.wantRead("a", "2", true)
	b.settle()                    // what is read while the echo is under way is not kept
	b.wantRead("new", "n", false) // nobody had asked for it
	b.wantRead("new", "n", true)
	b.wantRead("absent", "x", true)
	b.own(store.Delete("a"))
	b.wantRead("a", "-", true)
	b.settle() // the echo of own writes drops nothing that is as new
	b.wantRead("new", "n", true)
	b.wantRead("a", "-", true)

	b.foreign(put("a", "3"), put("new", "m"))
	b.settle()
	b.wantRead("a", "3", false)
	b.wantRead("new", "m", false)
	b.foreign(store.Delete("a"))
	b.settle()
	b.wantRead("a", "-", false)
	b.wantRead("new", "m", true)
}

func TestRevisionsOfKeptEntries(t *testing.T) {
	b := newBench(t, cached.Config{})
	b.get("a")
	rev := b.own(put("a", "1"), store.Check("b", 0))
	if e := b.get("a"); e.Revision != rev || e.Key != "a" {
		t.Errorf("entry %+v, want revision %d", e, rev)
	}
	b.own(put("a", "2").If(rev))
	if _, err := b.cache.Apply(t.Context(), put("a", "3").If(rev)); !errs.Is(err, errs.Conflict) {
		t.Errorf("a write at an old revision: %v", err)
	}
	b.settle()
	b.wantRead("a", "2", false)
	b.wantRead("a", "2", true)
}

func TestMemoLastsAsLongAsTheEntry(t *testing.T) {
	b := newBench(t, cached.Config{})
	calls := 0
	b.get("a") // what is asked for is kept when it is written
	decode := func(v []byte) (string, error) { calls++; return "decoded " + string(v), nil }
	for i, step := range []struct {
		do   func()
		want string
		call int
	}{
		{func() { b.own(put("a", "1")) }, "decoded 1", 1},
		{func() {}, "decoded 1", 1},
		{func() { b.own(put("other", "x")) }, "decoded 1", 1},
		{func() { b.own(put("a", "2")) }, "decoded 2", 2},
		{func() { b.foreign(put("a", "3")); b.settle(); b.get("a") }, "decoded 3", 3},
		{func() {}, "decoded 3", 3},
	} {
		step.do()
		if got, err := store.Decode(b.get("a"), decode); err != nil || got != step.want || calls != step.call {
			t.Errorf("step %d: %q, %v after %d calls, want %q after %d", i, got, err, calls, step.want, step.call)
		}
	}
}

func TestBoundedByBytes(t *testing.T) {
	const limit = 256 << 10
	b := newBench(t, cached.Config{MaxBytes: limit})
	for i := range 5000 {
		b.get(fmt.Sprintf("f/%d", i))
		b.own(store.Put(fmt.Sprintf("f/%d", i), make([]byte, 300)))
		b.get(fmt.Sprintf("absent/%d", i))
		if i%100 == 0 {
			if st := b.cache.Stats(); st.Bytes > limit {
				t.Fatalf("%d bytes are kept, limit %d", st.Bytes, limit)
			}
		}
	}
	st := b.cache.Stats()
	if st.Bytes < limit/2 || st.Entries < 100 {
		t.Errorf("%d entries of %d bytes are kept: the limit of %d is not used", st.Entries, st.Bytes, limit)
	}
	big := store.Put("big", make([]byte, 100<<10))
	b.own(put("big", "small"))
	b.own(big)
	if e := b.get("big"); len(e.Value) != len(big.Value) {
		t.Errorf("a value too large to keep is read with %d bytes", len(e.Value))
	}
	for i := range 5000 {
		b.own(store.Delete(fmt.Sprintf("f/%d", i)))
	}
	if st := b.cache.Stats(); st.Bytes > limit {
		t.Errorf("%d bytes are kept, limit %d", st.Bytes, limit)
	}
}

// What is only written takes no room.
func TestWritesAloneAreNotKept(t *testing.T) {
	b := newBench(t, cached.Config{})
	for i := range 100 {
		b.own(put(fmt.Sprintf("lease/%d", i), "x"))
	}
	if st := b.cache.Stats(); st.Entries > 0 {
		t.Errorf("%d entries are kept that nobody asked for", st.Entries)
	}
}

// What is read often stays while what is read once goes.
func TestEvictionSparesWhatIsUsed(t *testing.T) {
	b := newBench(t, cached.Config{MaxBytes: 256 << 10})
	for i := range 50 {
		b.own(put(fmt.Sprintf("hot/%d", i), "x"))
		b.get(fmt.Sprintf("hot/%d", i))
	}
	hits := 0
	for i := range 5_000 {
		b.get(fmt.Sprintf("cold/%d", i))
		b.own(put(fmt.Sprintf("cold/%d", i), "x"))
		before := b.cache.Stats().Hits
		b.get(fmt.Sprintf("hot/%d", i%50))
		hits += int(b.cache.Stats().Hits - before)
	}
	if hits < 4_700 {
		t.Errorf("%d of 5000 reads of 50 hot entries were hits", hits)
	}
}

func TestKeptEntriesDoNotHoldLargeBuffers(t *testing.T) {
	b := newBench(t, cached.Config{})
	body := bytes.Repeat([]byte("x"), 1<<16)
	b.get("a")
	b.own(store.Put("a", body[:10]))
	if e := b.get("a"); cap(e.Value) > 100 {
		t.Errorf("10 bytes are kept in a buffer of %d", cap(e.Value))
	}
}

func TestHitsDoNotAllocate(t *testing.T) {
	b := newBench(t, cached.Config{})
	b.own(put("sys/token/a-token", "value"))
	b.settle()
	b.get("sys/token/a-token")
	keys := []string{strings.Clone("sys/token/a-token"), "absent/key"}
	b.get(keys[1])
	ctx := context.Background()
	allocs := testing.AllocsPerRun(100, func() {
		for _, key := range keys {
			if _, err := b.cache.Get(ctx, key); err != nil {
				t.Fatal(err)
			}
		}
	})
	if allocs != 0 {
		t.Errorf("a hit allocates %v times", allocs)
	}
}

func TestErrorsAreNotKept(t *testing.T) {
	b := newBench(t, cached.Config{})
	remove := b.fault.Add(fault.Rule{Op: fault.Get, Err: errs.New(errs.Unavailable, "broken")})
	if _, err := b.cache.Get(t.Context(), "a"); !errs.Is(err, errs.Unavailable) {
		t.Errorf("Get: %v", err)
	}
	remove()
	b.wantRead("a", "-", false)
}

// Readers go through two doors, writers too; no reader may see an older
// revision of a key than it saw before, and all must see a write that returned.
func TestReadersNeverGoBack(t *testing.T) {
	b := newBench(t, cached.Config{MaxBytes: 64 << 10})
	const keys = 8
	var writing atomic.Bool
	writing.Store(true)
	var returned [keys]atomic.Uint64 // newest revision whose own Apply has returned
	var readers, writers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			var last [keys]store.Revision
			for i := 0; writing.Load(); i++ {
				k := i % keys
				least := max(last[k], store.Revision(returned[k].Load()))
				e, err := b.cache.Get(t.Context(), fmt.Sprintf("k/%d", k))
				if err != nil || e.Revision < least {
					t.Errorf("revision %d of key %d after %d was seen or written (%v)", e.Revision, k, least, err)
					return
				}
				last[k] = e.Revision
				runtime.Gosched() // the writers need a turn, too
			}
		})
	}
	for w := range 4 {
		writers.Go(func() {
			for i := range 500 {
				k := (i*7 + w) % keys
				changes := []store.Change{put(fmt.Sprintf("k/%d", k), "v"), put(fmt.Sprintf("filler/%d", i), "v")}
				if w == 0 {
					if _, err := b.base.Apply(t.Context(), changes...); err != nil {
						t.Error(err)
					}
					continue
				}
				rev, err := b.cache.Apply(t.Context(), changes...)
				if err != nil {
					t.Error(err)
				}
				for old := returned[k].Load(); old < uint64(rev) && !returned[k].CompareAndSwap(old, uint64(rev)); {
					old = returned[k].Load()
				}
			}
		})
	}
	writers.Wait()
	writing.Store(false)
	readers.Wait()
	b.settle()
	for k := range keys {
		key := fmt.Sprintf("k/%d", k)
		want, err := b.base.Get(t.Context(), key)
		if got := b.get(key); err != nil || got.Revision != want.Revision {
			t.Errorf("%s: cached revision %d, stored %d (%v)", key, got.Revision, want.Revision, err)
		}
	}
}

func BenchmarkGetHit(b *testing.B) {
	s := cached.New(mem.New(mem.Config{}), cached.Config{})
	defer s.Close()
	const keys = 1000
	names := make([]string, keys)
	for i := range names {
		names[i] = fmt.Sprintf("sys/token/0123456789abcdef0123456789abcdef-%d", i)
		if _, err := s.Apply(b.Context(), store.Put(names[i], make([]byte, 300))); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if e, err := s.Get(b.Context(), names[i%keys]); err != nil || !e.Exists() {
				b.Fatal(err)
			}
		}
	})
	b.ReportMetric(float64(s.Stats().Misses), "misses")
}

func BenchmarkApply(b *testing.B) {
	s := cached.New(mem.New(mem.Config{}), cached.Config{})
	defer s.Close()
	value := make([]byte, 300)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Apply(b.Context(), store.Put("f/a", value), store.Put("f/b", value)); err != nil {
			b.Fatal(err)
		}
	}
}
