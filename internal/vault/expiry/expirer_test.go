package expiry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

// book notes what was handled when, and can be told to fail.
type book struct {
	mu    sync.Mutex
	calls map[string][]time.Time
	fail  func(id string, call int) error
	again func(ref Ref, call int) time.Time
}

func (b *book) handle(_ context.Context, tx *store.Txn, ref Ref) (time.Time, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.calls == nil {
		b.calls = map[string][]time.Time{}
	}
	b.calls[ref.ID] = append(b.calls[ref.ID], time.Now())
	n := len(b.calls[ref.ID])
	if b.fail != nil {
		if err := b.fail(ref.ID, n); err != nil {
			return time.Time{}, err
		}
	}
	tx.Put("ended/"+ref.ID, []byte(fmt.Sprint(n)))
	if b.again != nil {
		return b.again(ref, n), nil
	}
	return time.Time{}, nil
}

func (b *book) times(id string) []time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.calls[id]
}

func add(t *testing.T, s store.Store, refs ...Ref) {
	t.Helper()
	tx := store.Begin(s)
	for _, r := range refs {
		Add(tx, r)
	}
	if _, err := tx.Commit(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, s store.Store, folder string) []string {
	t.Helper()
	n, err := s.List(context.Background(), folder, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNothingIsHandledEarlyOrMuchLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := mem.New(mem.Config{}), &book{}
		defer s.Close()
		start := time.Now()
		for i := range 100 { // added in no order, some within one second
			due := start.Add(time.Duration((i*37)%100) * 700 * time.Millisecond)
			add(t, s, Ref{"k", fmt.Sprint("r", i), due})
		}
		e := Start(Config{Store: s, Kinds: []Kind{{Name: "k", Handle: b.handle, Batch: 7, Parallel: 3}}, Window: 10})
		defer e.Close()
		time.Sleep(30 * time.Second)
		add(t, s, Ref{"k", "late", start.Add(40 * time.Second)}) // added while it runs
		time.Sleep(60 * time.Second)
		for i := range 100 {
			due := start.Add(time.Duration((i*37)%100) * 700 * time.Millisecond)
			at := b.times(fmt.Sprint("r", i))
			if len(at) != 1 || at[0].Before(due) || at[0].Sub(due) > 2*time.Second+time.Millisecond {
				t.Errorf("due %v, handled %v", due.Sub(start), at)
			}
		}
		if len(b.times("late")) != 1 {
			t.Error("what was added later was not handled")
		}
		if left := names(t, s, Prefix); len(left) != 0 {
			t.Errorf("left in the index: %q", left)
		}
		if got := len(names(t, s, "ended/")); got != 101 {
			t.Errorf("%d of 101 handlers' writes were committed", got)
		}
	})
}

// A handler that always fails is tried for ever with growing pauses, holds up
// nobody, and what it wrote is not kept.
func TestFailuresAreRetriedWithBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New(mem.Config{})
		defer s.Close()
		b := &book{fail: func(id string, n int) error {
			if strings.HasPrefix(id, "bad") && n <= 14 || id == "never" {
				return errors.New("the database does not answer")
			}
			return nil
		}}
		var log bytes.Buffer
		now := time.Now()
		add(t, s, Ref{"k", "bad1", now}, Ref{"k", "bad2", now}, Ref{"k", "good", now}, Ref{"k", "never", now})
		e := Start(Config{Store: s, Kinds: []Kind{{Name: "k", Handle: b.handle, Batch: 4}},
			Log: slog.New(slog.NewTextHandler(&log, nil)), MinBackoff: 2 * time.Second, MaxBackoff: 20 * time.Second})
		defer e.Close()
		synctest.Wait()
		if len(names(t, s, "ended/")) != 1 {
			t.Error("a failing neighbour held up or committed with the good one")
		}
		time.Sleep(5 * time.Minute)
		for _, id := range []string{"bad1", "bad2"} {
			at := slices.Compact(slices.Clone(b.times(id))) // alone and in a batch count once
			if len(at) < 6 {
				t.Fatalf("%s: tried %d times", id, len(at))
			}
			if gap := at[len(at)-1].Sub(at[len(at)-2]); gap < 19*time.Second || gap > 23*time.Second {
				t.Errorf("%s: the last pause is %v", id, gap)
			}
		}
		if n := len(b.times("never")); n < 12 || n > 44 {
			t.Errorf("what never works was tried %d times in 5 minutes", n)
		}
		if got := len(names(t, s, "ended/")); got != 3 {
			t.Errorf("%d ended, want 3", got)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if !strings.Contains(log.String(), "attempts=5") || !strings.Contains(log.String(), "the database does not answer") {
			t.Error("the log does not say what was tried how often")
		}
		if left := names(t, s, Folder("k")); len(left) != 1 || !strings.HasSuffix(left[0], "-never") {
			t.Errorf("left: %q", left)
		}
	})
}

// One kind that hangs does not keep another from its work, and Close ends it.
func TestKindsAreIndependent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := mem.New(mem.Config{}), &book{}
		defer s.Close()
		now := time.Now()
		add(t, s, Ref{"slow", "a", now}, Ref{"k", "b", now.Add(time.Minute)})
		hang := func(ctx context.Context, _ *store.Txn, _ Ref) (time.Time, error) {
			<-ctx.Done()
			return time.Time{}, ctx.Err()
		}
		e := Start(Config{Store: s, Kinds: []Kind{{Name: "slow", Handle: hang}, {Name: "k", Handle: b.handle}}})
		time.Sleep(2 * time.Minute)
		if len(b.times("b")) != 1 {
			t.Error("a kind waited for another")
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if left := names(t, s, Folder("slow")); len(left) != 1 {
			t.Error("what was not handled is lost")
		}
	})
}

// What hangs has only itself wait: what comes due meanwhile is handled in time, and it is begun once.
func TestHangingHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := mem.New(mem.Config{}), &book{}
		defer s.Close()
		start := time.Now()
		add(t, s, Ref{"k", "hangs", start}, Ref{"k", "later", start.Add(time.Minute)}, Ref{"k", "last", start.Add(time.Hour)})
		var at atomic.Int32
		handle := func(ctx context.Context, tx *store.Txn, ref Ref) (time.Time, error) {
			if ref.ID == "hangs" {
				if n := at.Add(1); n > 1 {
					t.Errorf("what hangs is begun %d times at once", n)
				}
				defer at.Add(-1)
				time.Sleep(2 * time.Hour)
			}
			return b.handle(ctx, tx, ref)
		}
		e := Start(Config{Store: s, Kinds: []Kind{{Name: "k", Handle: handle, Parallel: 2}}, Poll: 10 * time.Second})
		defer e.Close()
		time.Sleep(time.Minute + 10*time.Second)
		if len(b.times("later")) != 1 {
			t.Error("what came due while another hangs is not handled")
		}
		add(t, s, Ref{"k", "woken", time.Now()})
		e.Wake("k")
		synctest.Wait()
		if len(b.times("woken")) != 1 {
			t.Error("what is woken for while another hangs is not handled")
		}
		add(t, s, Ref{"k", "hangs", time.Now().Add(time.Minute)}) // as who asks for its end once more
		time.Sleep(5 * time.Hour)
		if left := names(t, s, Prefix); len(left) != 0 || len(b.times("hangs")) != 2 || len(b.times("last")) != 1 {
			t.Errorf("left %q; what hangs was done at %v, the last at %v", left, b.times("hangs"), b.times("last"))
		}
	})
}

func TestAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New(mem.Config{})
		defer s.Close()
		start := time.Now()
		b := &book{again: func(ref Ref, n int) time.Time {
			switch {
			case ref.ID == "steps" && n < 5:
				return ref.Due
			case ref.ID == "later" && n < 2:
				return start.Add(time.Minute)
			}
			return time.Time{}
		}}
		add(t, s, Ref{"k", "steps", start}, Ref{"k", "later", start})
		e := Start(Config{Store: s, Kinds: []Kind{{Name: "k", Handle: b.handle}}})
		defer e.Close()
		time.Sleep(time.Millisecond) // "at once" must not wait for the next look
		if n := len(b.times("steps")); n != 5 {
			t.Errorf("called %d times at once, want 5", n)
		}
		time.Sleep(2 * time.Minute)
		if at := b.times("later"); len(at) != 2 || at[1].Sub(start) < time.Minute {
			t.Errorf("called at %v", at)
		}
		if left := names(t, s, Prefix); len(left) != 0 {
			t.Errorf("left: %q", left)
		}
	})
}

// A ref removed between listing and handling is not handled; one that commits
// against a change of what the handler read is run again.
func TestRacesWithRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New(mem.Config{})
		defer s.Close()
		now := time.Now()
		add(t, s, Ref{"k", "a", now}, Ref{"k", "b", now})
		calls := map[string]int{}
		handle := func(ctx context.Context, tx *store.Txn, ref Ref) (time.Time, error) {
			calls[ref.ID]++
			if _, err := tx.Get(ctx, "state"); err != nil {
				return time.Time{}, err
			}
			tx.Put("ended/"+ref.ID, nil)
			if ref.ID == "a" && calls["a"] == 1 { // a request commits in between: b is gone, state has changed
				_, err := s.Apply(ctx, store.Delete(Ref{"k", "b", now}.Key()), store.Put("state", []byte("x")))
				return time.Time{}, err
			}
			return time.Time{}, nil
		}
		e := Start(Config{Store: s, Kinds: []Kind{{Name: "k", Handle: handle, Batch: 1}}})
		synctest.Wait()
		e.Close()
		if calls["a"] != 2 || calls["b"] != 0 {
			t.Errorf("calls %v", calls)
		}
		if got := names(t, s, "ended/"); len(got) != 1 || got[0] != "a" {
			t.Errorf("ended %q", got)
		}
	})
}

// flaky fails List for a while, as a store that lost its disk does.
type flaky struct {
	store.Store
	mu    sync.Mutex
	until time.Time
	lists int
}

func (f *flaky) List(ctx context.Context, folder, after string, limit int) ([]string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lists++
	if limit == 0 {
		return nil, errs.New(errs.Internal, "a list without a limit loads everything")
	}
	if time.Now().Before(f.until) {
		return nil, errs.New(errs.Unavailable, "no disk")
	}
	return f.Store.List(ctx, folder, after, limit)
}

// unreadable is a store with an entry that cannot be read, such as a damaged one.
type unreadable struct {
	store.Store
	key string
}

func (u unreadable) Get(ctx context.Context, key string) (store.Entry, error) {
	if key == u.key {
		return store.Entry{}, errs.New(errs.Internal, "damaged")
	}
	return u.Store.Get(ctx, key)
}

// What cannot be read stands first, for good; what stands behind it is handled all the same, at the next look.
func TestDamagedEntryHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, b := mem.New(mem.Config{}), &book{}
		defer inner.Close()
		first := Ref{"k", "a", time.Now()}
		add(t, inner, first, Ref{"k", "b", time.Now().Add(time.Second)}, Ref{"k", "c", time.Now().Add(2 * time.Second)})
		e := Start(Config{Store: unreadable{inner, first.Key()}, Kinds: []Kind{{Name: "k", Handle: b.handle}}})
		defer e.Close()
		time.Sleep(time.Minute)
		if len(b.times("b")) != 1 || len(b.times("c")) != 1 {
			t.Error("what stands behind it is not handled")
		}
	})
}

func TestStoreThatFailsIsAskedLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, b := mem.New(mem.Config{}), &book{}
		defer inner.Close()
		s := &flaky{Store: inner, until: time.Now().Add(10 * time.Minute)}
		add(t, inner, Ref{"k", "a", time.Now()})
		e := Start(Config{Store: s, Kinds: []Kind{{Name: "k", Handle: b.handle}}, MaxBackoff: time.Minute})
		defer e.Close()
		time.Sleep(9 * time.Minute)
		s.mu.Lock()
		if s.lists > 20 {
			t.Errorf("asked %d times in 9 minutes", s.lists)
		}
		s.mu.Unlock()
		time.Sleep(3 * time.Minute)
		if len(b.times("a")) != 1 {
			t.Error("did not go on when the store was back")
		}
	})
}

// A hundred thousand waiting entries cost the start one List of a window.
func TestStartLoadsOneWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := mem.New(mem.Config{})
		defer inner.Close()
		far := time.Now().Add(1000 * time.Hour)
		for i := range 400 {
			var refs []Ref
			for j := range 250 {
				refs = append(refs, Ref{"k", fmt.Sprintf("%d-%d", i, j), far})
			}
			add(t, inner, refs...)
		}
		s := &flaky{Store: inner}
		e := Start(Config{Store: s, Kinds: []Kind{{Name: "k", Handle: (&book{}).handle}}})
		synctest.Wait()
		e.Close()
		if s.lists != 1 {
			t.Errorf("%d lists at start", s.lists)
		}
	})
}

func TestCloseWithoutKinds(t *testing.T) {
	e := Start(Config{Store: mem.New(mem.Config{})})
	for range 2 {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Who holds the work has it ended, waits for that, and nothing of it counts as a failure.
func TestHoldEndsWhatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mem.New(mem.Config{})
		defer s.Close()
		add(t, s, Ref{"k", "a", time.Now()}, Ref{"k", "b", time.Now()})
		var lines bytes.Buffer
		calls, running := 0, false
		handle := func(ctx context.Context, tx *store.Txn, ref Ref) (time.Time, error) {
			calls++
			running = true
			defer func() { running = false }()
			if calls == 1 {
				<-ctx.Done()
				time.Sleep(time.Second) // what it is at takes its time
				return time.Time{}, ctx.Err()
			}
			tx.Put("ended/"+ref.ID, nil)
			return time.Time{}, nil
		}
		e := Start(Config{Store: s, Kinds: []Kind{{Name: "k", Handle: handle}}, Log: slog.New(slog.NewTextHandler(&lines, nil))})
		defer e.Close()
		synctest.Wait()
		e.Hold(true)
		if calls != 1 || running {
			t.Errorf("%d calls, one still runs: %v", calls, running)
		}
		time.Sleep(time.Hour)
		if calls != 1 || lines.Len() != 0 {
			t.Errorf("%d calls while held, and the log has: %s", calls, &lines)
		}
		e.Hold(false)
		synctest.Wait()
		if got := names(t, s, "ended/"); len(got) != 2 || calls != 3 {
			t.Errorf("ended %q by %d calls", got, calls)
		}
	})
}
