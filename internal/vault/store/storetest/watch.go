package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

func watchTests() map[string]func(*suite) {
	return map[string]func(*suite){
		"from now on":                          watchNow,
		"one event per commit":                 watchCommits,
		"only the prefix":                      watchPrefix,
		"from a revision":                      watchFrom,
		"what is shown is there":               watchThenGet,
		"no gaps amid writers":                 watchGapless,
		"from a revision that is forgotten":    watchForgotten,
		"a reader that is too slow":            watchSlow,
		"Close ends it":                        watchClose,
		"the end of the context ends it":       watchContext,
		"closing the store ends it":            watchStoreClose,
		"one watcher does not hold up another": watchIdle,
	}
}

func (s *suite) watch(prefix string, from store.Revision) store.Watcher {
	s.Helper()
	w, err := s.store.Watch(s.ctx, prefix, from)
	s.must(err)
	s.Cleanup(w.Close)
	return w
}

// next returns the next event that has changes.
func (s *suite) next(w store.Watcher) store.Event {
	s.Helper()
	for {
		select {
		case e, ok := <-w.Events():
			if !ok {
				s.Fatalf("the watch ended: %v", w.Err())
			}
			if len(e.Changes) > 0 {
				return e
			}
		case <-s.ctx.Done():
			s.Fatal("no event came")
		}
	}
}

// ended waits until w has ended and returns its error.
func (s *suite) ended(w store.Watcher) error {
	s.Helper()
	for {
		select {
		case _, ok := <-w.Events():
			if !ok {
				return w.Err()
			}
		case <-s.ctx.Done():
			s.Fatal("the watch did not end")
		}
	}
}

// wantEvent compares an event, by "key=value" and "-key" in any order.
func (s *suite) wantEvent(e store.Event, rev store.Revision, want ...string) {
	s.Helper()
	var got []string
	for _, c := range e.Changes {
		switch {
		case c.Guarded || c.Expect != 0 || c.Op == store.OpCheck:
			s.Errorf("an event carries a guard: %+v", c)
		case c.Op == store.OpDelete:
			got = append(got, "-"+c.Key)
		case s.Valueless && c.Value == nil:
			got = append(got, c.Key)
		default:
			got = append(got, c.Key+"="+string(c.Value))
		}
	}
	for i := range want {
		if s.Valueless {
			want[i], _, _ = strings.Cut(want[i], "=")
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if e.Revision != rev || !slices.Equal(got, want) {
		s.Errorf("event %d %q, want %d %q", e.Revision, got, rev, want)
	}
}

func watchNow(s *suite) {
	s.put("f/before", "x")
	w := s.watch("f/", 0)
	a := s.put("f/a", "1")
	b := s.put("f/b", "2")
	s.wantEvent(s.next(w), a, "f/a=1")
	s.wantEvent(s.next(w), b, "f/b=2")
	if err := w.Err(); err != nil {
		s.Errorf("Err of a running watch is %v", err)
	}
}

func watchCommits(s *suite) {
	s.put("f/old", "x")
	held := s.put("f/held", "x")
	w := s.watch("", 0)
	rev := s.apply(store.Put("f/a", []byte("1")).If(0), store.Put("g/b", []byte("2")), store.Delete("f/old"), store.Check("f/held", held))
	s.apply(store.Check("f/held", held))
	_, err := s.store.Apply(s.ctx, store.Put("f/a", nil).If(0))
	s.wantKind(err, errs.Conflict, "creating what is there")
	last := s.put("f/last", "z")
	s.wantEvent(s.next(w), rev, "f/a=1", "g/b=2", "-f/old")
	s.wantEvent(s.next(w), last, "f/last=z")
}

func watchPrefix(s *suite) {
	byFolder, byStem, byKey, none := s.watch("f/sub/", 0), s.watch("f/su", 0), s.watch("f/sub/x", 0), s.watch("zzz", 0)
	s.put("f/other", "0")
	one := s.apply(store.Put("f/sub/x", []byte("1")), store.Put("f/super", []byte("1")), store.Put("f/z", nil))
	two := s.apply(store.Put("f/sub/y", []byte("2")), store.Put("g/sub/x", nil))
	three := s.apply(store.Delete("f/sub/x"))
	end := s.put("zzz", "end")
	s.wantEvent(s.next(byFolder), one, "f/sub/x=1")
	s.wantEvent(s.next(byFolder), two, "f/sub/y=2")
	s.wantEvent(s.next(byFolder), three, "-f/sub/x")
	s.wantEvent(s.next(byStem), one, "f/sub/x=1", "f/super=1")
	s.wantEvent(s.next(byStem), two, "f/sub/y=2")
	s.wantEvent(s.next(byStem), three, "-f/sub/x")
	s.wantEvent(s.next(byKey), one, "f/sub/x=1")
	s.wantEvent(s.next(byKey), three, "-f/sub/x")
	s.wantEvent(s.next(none), end, "zzz=end")
}

func watchFrom(s *suite) {
	start := s.put("f/a", "0")
	var revs []store.Revision
	for i := range 10 {
		revs = append(revs, s.put("f/a", fmt.Sprint(i)))
		s.put("other", "x")
	}
	whole, half := s.watch("f/", start), s.watch("f/", revs[4])
	live := s.put("f/a", "live")
	for i, rev := range revs {
		s.wantEvent(s.next(whole), rev, fmt.Sprintf("f/a=%d", i))
		if i > 4 {
			s.wantEvent(s.next(half), rev, fmt.Sprintf("f/a=%d", i))
		}
	}
	s.wantEvent(s.next(whole), live, "f/a=live")
	s.wantEvent(s.next(half), live, "f/a=live")
}

// watchThenGet holds "every later call sees it or something newer".
func watchThenGet(s *suite) {
	const rounds = 300
	w := s.watch("f/", 0)
	var writer sync.WaitGroup
	writer.Go(func() {
		for range rounds {
			_, err := s.store.Apply(s.ctx, store.Put("f/a", []byte("x")), store.Put("unseen/b", []byte("x")))
			if err != nil {
				s.Error(err)
				return
			}
		}
	})
	for range rounds {
		e := s.next(w)
		for _, key := range []string{"f/a", "unseen/b"} {
			if got := s.get(key); got.Revision < e.Revision {
				s.Fatalf("the watch showed revision %d, then Get showed %d of %s", e.Revision, got.Revision, key)
			}
		}
	}
	writer.Wait()
}

// watchGapless replays a watch onto a map, which must end as the store does.
func watchGapless(s *suite) {
	const writers, each = 8, 100
	w := s.watch("f/", 0)
	var wg sync.WaitGroup
	for n := range writers {
		wg.Go(func() {
			for i := range each {
				_, err := s.store.Apply(s.ctx, store.Put(fmt.Sprintf("f/%d", n), []byte(fmt.Sprint(i))), store.Put(fmt.Sprintf("f/%d-%d", n, i), nil))
				if err != nil {
					s.Error(err)
				}
			}
		})
	}
	seen, last := map[string]store.Revision{}, store.Revision(0)
	for range writers * each {
		e := s.next(w)
		if e.Revision <= last {
			s.Fatalf("event %d after %d", e.Revision, last)
		}
		last = e.Revision
		if len(e.Changes) != 2 {
			s.Fatalf("event of %d changes, want the 2 of a commit", len(e.Changes))
		}
		for _, c := range e.Changes {
			seen[c.Key] = e.Revision
		}
	}
	wg.Wait()
	if len(seen) != writers*(each+1) {
		s.Errorf("%d keys seen, want %d", len(seen), writers*(each+1))
	}
	for key, rev := range seen {
		if e := s.get(key); e.Revision != rev {
			s.Errorf("%s: last event %d, stored %d", key, rev, e.Revision)
		}
	}
}

func watchForgotten(s *suite) {
	if s.Forgetful == nil {
		s.Skip("SKIPPED: this store has no small history")
	}
	s.store = s.fresh(s.Forgetful)
	old := s.put("f/a", "x")
	for range 100 {
		s.put("f/a", "y")
	}
	err := error(nil)
	for err == nil && s.ctx.Err() == nil { // a store that watches another may learn of commits later
		var w store.Watcher
		if w, err = s.store.Watch(s.ctx, "f/", old); err == nil {
			w.Close()
		}
	}
	s.wantKind(err, errs.Exhausted, "watching from a revision 100 commits ago")
	w := s.watch("f/", s.apply())
	rev := s.put("f/a", "z")
	s.wantEvent(s.next(w), rev, "f/a=z")
}

func watchSlow(s *suite) {
	if s.Forgetful == nil {
		s.Skip("SKIPPED: this store has no small history")
	}
	s.store = s.fresh(s.Forgetful)
	w := s.watch("f/", 0)
	const writers, each = 8, 200 // more than history and channels hold together
	revs := make([]store.Revision, writers*each)
	var wg sync.WaitGroup
	for n := range writers {
		wg.Go(func() {
			for i := range each {
				rev, err := s.store.Apply(s.ctx, store.Put(fmt.Sprintf("f/%d", n), nil))
				if err != nil {
					s.Error(err)
				}
				revs[n*each+i] = rev
			}
		})
	}
	wg.Wait()
	slices.Sort(revs)
	read := 0
	for e := range w.Events() {
		if len(e.Changes) == 0 {
			continue // a sign of life, on a machine that takes its time
		}
		if read == len(revs) || e.Revision != revs[read] {
			s.Fatalf("event %d after %d others: there is a gap", e.Revision, read)
		}
		read++
	}
	s.wantKind(w.Err(), errs.Exhausted, "a reader 1600 commits behind")
	s.put("f/a", "still works")
}

func watchClose(s *suite) {
	w := s.watch("f/", 0)
	s.put("f/a", "x")
	w.Close()
	w.Close()
	if err := s.ended(w); err != nil {
		s.Errorf("Err after Close is %v", err)
	}
	s.put("f/a", "y")
}

func watchContext(s *suite) {
	ctx, cancel := context.WithCancel(s.ctx)
	w, err := s.store.Watch(ctx, "f/", 0)
	s.must(err)
	s.put("f/a", "x")
	s.next(w)
	cancel()
	if err := s.ended(w); err != nil {
		s.Errorf("Err after the end of the context is %v", err)
	}
	w.Close()
}

func watchStoreClose(s *suite) {
	idle, unread := s.watch("f/", 0), s.watch("f/", 0)
	for range 50 {
		s.put("f/a", "x")
	}
	s.next(idle)
	s.must(s.store.Close())
	s.wantKind(s.ended(idle), errs.Unavailable, "Err after the store was closed")
	s.wantKind(s.ended(unread), errs.Unavailable, "Err of a watch nobody read")
}

func watchIdle(s *suite) {
	s.watch("f/", 0) // nobody reads it
	w := s.watch("f/", 0)
	for i := range 200 {
		rev := s.put("f/a", fmt.Sprint(i))
		s.wantEvent(s.next(w), rev, fmt.Sprintf("f/a=%d", i))
	}
}
