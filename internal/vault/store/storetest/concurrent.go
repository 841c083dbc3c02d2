package storetest

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

func concurrentTests() map[string]func(*suite) {
	return map[string]func(*suite){
		"counters by compare and swap":        counters,
		"counters by transaction":             txnCounters,
		"readers never see half a commit":     wholeCommits,
		"a write is seen when Apply returns":  readYourWrites,
		"one of many creates":                 oneCreates,
		"listing amid writers":                listAmidWriters,
		"revisions are never given out twice": uniqueRevisions,
	}
}

func number(e store.Entry) uint64 {
	if len(e.Value) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(e.Value)
}

func numbered(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// counters increments two counters by compare and swap: no increment may be
// lost and none counted twice.
func counters(s *suite) {
	const writers, each = 8, 50
	var wg sync.WaitGroup
	for n := range writers {
		wg.Go(func() {
			key := fmt.Sprintf("c/%d", n%2)
			for done := 0; done < each; {
				e, err := s.store.Get(s.ctx, key)
				if err != nil {
					s.Error(err)
					return
				}
				_, err = s.store.Apply(s.ctx, store.Put(key, numbered(number(e)+1)).If(e.Revision))
				switch {
				case err == nil:
					done++
				case !errs.Is(err, errs.Conflict):
					s.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	for n := range 2 {
		if got := number(s.get(fmt.Sprintf("c/%d", n))); got != writers/2*each {
			s.Errorf("counter %d is %d, want %d", n, got, writers/2*each)
		}
	}
}

// txnCounters moves amounts between accounts: the sum stays the same.
func txnCounters(s *suite) {
	const accounts, writers, each = 4, 6, 40
	for n := range accounts {
		s.apply(store.Put(fmt.Sprintf("acc/%d", n), numbered(1000)))
	}
	move := func(from, to string) error {
		t := store.Begin(s.store)
		a, err := t.Get(s.ctx, from)
		if err != nil {
			return err
		}
		b, err := t.Get(s.ctx, to)
		if err != nil {
			return err
		}
		t.Put(from, numbered(number(a)-1))
		t.Put(to, numbered(number(b)+1))
		_, err = t.Commit(s.ctx)
		return err
	}
	var wg sync.WaitGroup
	for n := range writers {
		wg.Go(func() {
			for i := 0; i < each; {
				err := move(fmt.Sprintf("acc/%d", (n+i)%accounts), fmt.Sprintf("acc/%d", (n+i+1)%accounts))
				switch {
				case err == nil:
					i++
				case !errs.Is(err, errs.Conflict):
					s.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	sum := uint64(0)
	for n := range accounts {
		sum += number(s.get(fmt.Sprintf("acc/%d", n)))
	}
	if sum != accounts*1000 {
		s.Errorf("the accounts sum up to %d, want %d", sum, accounts*1000)
	}
}

// wholeCommits writes two keys together and reads them one after the other:
// the second may be newer, never older, and no key ever goes back.
func wholeCommits(s *suite) {
	const commits = 300
	var wg sync.WaitGroup
	defer wg.Wait()
	var writing atomic.Bool
	writing.Store(true)
	defer writing.Store(false)
	for range 4 {
		wg.Go(func() {
			var last store.Revision
			for writing.Load() {
				a, errA := s.store.Get(s.ctx, "w/a")
				b, errB := s.store.Get(s.ctx, "w/deep/b")
				switch {
				case errA != nil || errB != nil:
					s.Error(errA, errB)
					return
				case b.Revision < a.Revision || number(b) < number(a):
					s.Errorf("read %d of revision %d, then %d of %d from the same commits", number(a), a.Revision, number(b), b.Revision)
					return
				case a.Revision < last:
					s.Errorf("revision %d after %d was seen", a.Revision, last)
					return
				}
				last = b.Revision
				runtime.Gosched() // the writer needs a turn, too
			}
		})
	}
	for i := range uint64(commits) {
		s.apply(store.Put("w/a", numbered(i)), store.Put("w/deep/b", numbered(i)))
	}
}

// readYourWrites hands every write to another goroutine, which must see it.
func readYourWrites(s *suite) {
	const writers, each = 4, 100
	var wg sync.WaitGroup
	for n := range writers {
		written := make(chan store.Revision)
		key := fmt.Sprintf("r/%d", n)
		wg.Go(func() {
			defer close(written)
			for i := range each {
				change := store.Put(key, numbered(uint64(i)))
				if i%5 == 4 {
					change = store.Delete(key)
				}
				rev, err := s.store.Apply(s.ctx, change)
				if err != nil {
					s.Error(err)
					return
				}
				if i%5 == 4 {
					rev = 0
				}
				written <- rev
			}
		})
		wg.Go(func() {
			for want := range written {
				got, err := s.store.Get(s.ctx, key)
				if err != nil {
					s.Error(err)
				}
				// The writer goes on, so that a later state is right, too; its
				// next write waits for this goroutine only at the hand-over.
				if want != 0 && got.Revision != 0 && got.Revision < want {
					s.Errorf("%s: Apply returned %d, Get then showed %d", key, want, got.Revision)
				}
			}
		})
	}
	wg.Wait()
	for i := range 50 {
		rev := s.put("r/own", fmt.Sprint(i))
		s.holds("r/own", fmt.Sprint(i), rev)
		s.apply(store.Delete("r/own"))
		s.holds("r/own", "", 0)
	}
}

func oneCreates(s *suite) {
	for round := range 20 {
		var won, lost atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				_, err := s.store.Apply(s.ctx, store.Put(fmt.Sprintf("o/%d", round), nil).If(0))
				switch {
				case err == nil:
					won.Add(1)
				case errs.Is(err, errs.Conflict):
					lost.Add(1)
				default:
					s.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 7 {
			s.Fatalf("%d created the key and %d found it there, want 1 and 7", won.Load(), lost.Load())
		}
	}
}

// listAmidWriters moves one key between two names in one commit: a listing
// must hold exactly one of them.
func listAmidWriters(s *suite) {
	s.put("l/left", "x")
	var wg sync.WaitGroup
	defer wg.Wait()
	var writing atomic.Bool
	writing.Store(true)
	defer writing.Store(false)
	for range 2 {
		wg.Go(func() {
			for writing.Load() {
				names, err := s.store.List(s.ctx, "l/", "", 0)
				if err != nil || len(names) != 1 {
					s.Errorf("listed %q, %v; want one name", names, err)
					return
				}
				runtime.Gosched()
			}
		})
	}
	for range 100 {
		s.apply(store.Delete("l/left"), store.Put("l/right", nil))
		s.apply(store.Delete("l/right"), store.Put("l/left", nil))
	}
}

func uniqueRevisions(s *suite) {
	const writers, each = 8, 50
	var mu sync.Mutex
	given := map[store.Revision]bool{}
	var wg sync.WaitGroup
	for n := range writers {
		wg.Go(func() {
			last := store.Revision(0)
			for range each {
				rev, err := s.store.Apply(s.ctx, store.Put(fmt.Sprintf("u/%d", n), nil))
				mu.Lock()
				if err != nil || rev <= last || given[rev] {
					s.Errorf("revision %d after %d, given before: %v, %v", rev, last, given[rev], err)
				}
				given[rev], last = true, rev
				mu.Unlock()
			}
		})
	}
	wg.Wait()
}
