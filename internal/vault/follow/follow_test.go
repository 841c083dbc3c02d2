package follow_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/follow"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/cached"
	"github.com/strongkeep/strongkeep/internal/vault/store/fault"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

const silence = 3 * time.Second

// bench is a follower of a store that others write to, in a time of its own.
type bench struct {
	*testing.T
	base *mem.Store
	way  *fault.Store // the follower's
	f    *follow.Follower
	slow chan struct{} // taking up waits until it is closed; nil = it does not

	mu    sync.Mutex
	fails error          // of taking up
	took  []string       // keys, in order
	all   int            // how often everything was taken up
	deaf  int            // how often silence began
	tries []time.Time    // of taking up
	last  store.Revision // that was written
}

func run(t *testing.T, test func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		base := mem.New(mem.Config{})
		defer base.Close()
		b := &bench{T: t, base: base, way: fault.New(store.Borrow(base))}
		b.f = follow.New(follow.Config{Store: b.way, MaxSilence: silence, Take: b.take, TakeAll: b.takeAll, Deaf: b.noteDeaf, Log: slog.New(slog.DiscardHandler)}, b.write("before"))
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { b.f.Run(ctx) })
		defer running.Wait()
		defer stop()
		synctest.Wait()
		test(b)
	})
}

func (b *bench) take(_ context.Context, e *store.Event) error {
	if b.slow != nil {
		<-b.slow
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tries = append(b.tries, time.Now())
	if b.fails != nil {
		return b.fails
	}
	for _, c := range e.Changes {
		b.took = append(b.took, c.Key)
	}
	return nil
}

func (b *bench) takeAll(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all++
	return b.fails
}

func (b *bench) noteDeaf() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.deaf++
}

func (b *bench) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fails = err
}

// write has another node write.
func (b *bench) write(key string) store.Revision {
	b.Helper()
	rev, err := b.base.Apply(b.Context(), store.Put(key, nil))
	if err != nil {
		b.Fatal(err)
	}
	b.last = rev
	return rev
}

// beat gives a sign of life of a time.
func (b *bench) beat(at time.Time) {
	b.way.Pulse(b.last, at)
	synctest.Wait()
}

func (b *bench) want(seen store.Revision, silent, stuck bool) {
	b.Helper()
	if b.f.Seen() != seen || b.f.Silent() != silent || b.f.Stuck() != stuck {
		b.Errorf("seen %d, silent %v, stuck %v; want %d, %v, %v", b.f.Seen(), b.f.Silent(), b.f.Stuck(), seen, silent, stuck)
	}
}

// What others write is taken up in order, and who waits for it goes on.
func TestTakesUp(t *testing.T) {
	run(t, func(b *bench) {
		waiting := make(chan error, 1)
		go func() { waiting <- b.f.Await(b.Context(), 3) }()
		b.write("a")
		synctest.Wait()
		select {
		case err := <-waiting:
			t.Error("revision 3 is not there yet:", err)
		default:
		}
		rev := b.write("b")
		if err := <-waiting; err != nil {
			t.Error(err)
		}
		b.want(rev, false, false)
		if len(b.took) != 2 || b.took[0] != "a" || b.took[1] != "b" {
			t.Error("taken up:", b.took)
		}
		ctx, cancel := context.WithTimeout(b.Context(), time.Second)
		defer cancel()
		if err := b.f.Await(ctx, rev+1); !errs.Is(err, errs.Unavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error("what nobody writes is there:", err)
		}
	})
}

// A sign of life is as old as its proof. Commits without one tell nothing: they may be late for ever.
func TestSilent(t *testing.T) {
	run(t, func(b *bench) {
		for range 10 {
			time.Sleep(silence)
			b.beat(time.Now())
		}
		time.Sleep(silence)
		b.want(1, false, false) // as long as is borne
		time.Sleep(time.Nanosecond)
		b.want(1, true, false)
		b.beat(time.Now().Add(-silence - 1)) // on its way for too long
		b.want(1, true, false)
		rev := b.write("a")
		synctest.Wait()
		b.way.Pulse(rev, time.Time{}) // how far the store is, and no sign of life
		synctest.Wait()
		b.want(rev, true, false)
		b.beat(time.Now().Add(-2 * time.Second))
		b.want(rev, false, false)
		b.beat(time.Now().Add(-3 * time.Second)) // one that was overtaken
		time.Sleep(time.Second)
		b.want(rev, false, false)
		time.Sleep(time.Nanosecond)
		b.want(rev, true, false)
	})
}

// Who waits for events is told of each silence once, though what is being taken up hangs.
func TestDeaf(t *testing.T) {
	run(t, func(b *bench) {
		b.slow = make(chan struct{})
		b.write("a")
		time.Sleep(4 * silence)
		synctest.Wait()
		b.mu.Lock()
		deaf := b.deaf
		b.mu.Unlock()
		close(b.slow)
		b.beat(time.Now())
		time.Sleep(silence / 2)
		b.want(b.last, false, false)
		time.Sleep(silence)
		synctest.Wait()
		b.mu.Lock()
		defer b.mu.Unlock()
		if deaf != 1 || b.deaf != 2 {
			t.Errorf("of one silence it is told %d times, of two %d", deaf, b.deaf)
		}
	})
}

// Signs of life that wait behind what is taken up slowly are not believed for when they came.
func TestSlowTaking(t *testing.T) {
	run(t, func(b *bench) {
		b.slow = make(chan struct{})
		b.write("a")
		synctest.Wait()
		b.beat(time.Now())
		time.Sleep(silence + 1)
		close(b.slow)
		synctest.Wait()
		b.want(b.last, true, false)
		b.beat(time.Now())
		b.want(b.last, false, false)
	})
}

// What cannot be taken up is not shown, is tried again with growing pauses, and is not lost.
func TestStuck(t *testing.T) {
	run(t, func(b *bench) {
		b.fail(errs.New(errs.Unavailable, "not here"))
		rev := b.write("a")
		time.Sleep(time.Minute)
		synctest.Wait()
		b.want(1, true, true)
		b.mu.Lock()
		tries := b.tries
		b.mu.Unlock()
		if len(tries) < 10 || len(tries) > 60 {
			t.Fatalf("%d tries in a minute", len(tries))
		}
		if first, last := tries[1].Sub(tries[0]), tries[9].Sub(tries[8]); first != 100*time.Millisecond || last != 2*time.Second {
			t.Errorf("tried again after %v at first, later after %v", first, last)
		}
		b.fail(nil)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		b.want(rev, false, false)
	})
}

// pulses gives signs of life until the test ends, as a store that several write to does.
func (b *bench) pulses() {
	go func() {
		for {
			select {
			case <-time.After(50 * time.Millisecond):
			case <-b.Context().Done():
				return
			}
			if rev, err := b.base.Apply(b.Context()); err == nil {
				b.way.Pulse(rev, time.Now())
			}
		}
	}()
}

// After events were lost everything is taken up; what was lost is not waited for.
func TestLost(t *testing.T) {
	run(t, func(b *bench) {
		b.pulses()
		lost := errs.New(errs.Exhausted, "events are lost")
		b.way.Add(fault.Rule{Op: fault.Watch, Times: 1, Err: lost})
		b.way.Add(fault.Rule{Op: fault.Watch, Skip: 1, Times: 1, Err: lost}) // the one between is to load everything behind
		b.fail(errs.New(errs.Unavailable, "not here"))
		b.way.LoseWatches(errs.New(errs.Unavailable, "the watch is lost"))
		rev := b.write("a")
		time.Sleep(200 * time.Millisecond)
		b.want(1, false, true)
		b.fail(nil)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		b.want(rev, false, false)
		if b.all < 2 || len(b.took) != 0 {
			t.Errorf("everything was taken up %d times, and %v", b.all, b.took)
		}
		next := b.write("b")
		synctest.Wait()
		b.want(next, false, false)
	})
}

// What is loaded after events were lost is as new as what is said to be taken up, though the store keeps
// entries in memory and has not heard yet that they are old.
func TestLostBehindACache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := mem.New(mem.Config{})
		defer base.Close()
		below := fault.New(store.Borrow(base))
		memory := cached.New(below, cached.Config{MaxSilence: time.Hour, Log: slog.New(slog.DiscardHandler)})
		defer memory.Close()
		way := fault.New(store.Borrow(memory))
		var loaded atomic.Pointer[string]
		load := func(ctx context.Context) error {
			e, err := memory.Get(ctx, "mount")
			value := string(e.Value)
			loaded.Store(&value)
			return err
		}
		write := func(value string) store.Revision {
			rev, err := base.Apply(t.Context(), store.Put("mount", []byte(value)))
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return rev
		}
		f := follow.New(follow.Config{
			Store: way, MaxSilence: time.Hour, Log: slog.New(slog.DiscardHandler), TakeAll: load, Deaf: func() {},
			Take: func(ctx context.Context, _ *store.Event) error { return load(ctx) },
		}, write("old"))
		if err := load(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { f.Run(ctx) })
		defer running.Wait()
		defer stop()
		synctest.Wait()

		below.Mute()
		rev := write("new")
		lost := errs.New(errs.Exhausted, "events are lost")
		way.Add(fault.Rule{Op: fault.Watch, Times: 1, Err: lost})
		way.LoseWatches(lost)
		time.Sleep(time.Second)
		synctest.Wait()
		below.Unmute()
		below.Pulse(rev, time.Now())
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if f.Seen() < rev || *loaded.Load() != "new" {
			t.Errorf("taken up to %d of %d, with what was %q at last", f.Seen(), rev, *loaded.Load())
		}
	})
}

// A store that cannot be asked is tried again; the watch that is begun then is a sign of life when
// it has caught up, and as old as its beginning.
func TestStoreAway(t *testing.T) {
	run(t, func(b *bench) {
		remove := b.way.Add(fault.Rule{Err: errs.New(errs.Unavailable, "away")})
		b.way.LoseWatches(errs.New(errs.Unavailable, "the watch is lost"))
		time.Sleep(silence + 1)
		b.want(1, true, false)
		rev := b.write("a")
		remove()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		b.want(rev, false, false)
	})
}
