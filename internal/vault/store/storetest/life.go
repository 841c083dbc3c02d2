package storetest

import (
	"fmt"
	"sync"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

func lifeTests() map[string]func(*suite) {
	return map[string]func(*suite){
		"a closed store":              closedStore,
		"closing amid calls":          closeAmidCalls,
		"opened again":                reopened,
		"opened again, never written": reopenedEmpty,
	}
}

func closedStore(s *suite) {
	s.put("f/a", "x")
	s.must(s.store.Close())
	s.must(s.store.Close())
	_, err := s.store.Get(s.ctx, "f/a")
	s.wantKind(err, errs.Unavailable, "Get")
	_, err = s.store.List(s.ctx, "f/", "", 0)
	s.wantKind(err, errs.Unavailable, "List")
	_, err = s.store.Apply(s.ctx, store.Put("f/a", nil))
	s.wantKind(err, errs.Unavailable, "Apply")
	_, err = s.store.Apply(s.ctx)
	s.wantKind(err, errs.Unavailable, "Apply without changes")
	_, err = s.store.Watch(s.ctx, "f/", 0)
	s.wantKind(err, errs.Unavailable, "Watch")
}

// closeAmidCalls closes the store under load: every call answers, with success
// or Unavailable.
func closeAmidCalls(s *suite) {
	var wg, begun sync.WaitGroup
	calls := []func(key string) error{
		func(key string) error { _, err := s.store.Get(s.ctx, key); return err },
		func(string) error { _, err := s.store.List(s.ctx, "f/", "", 0); return err },
		func(key string) error { _, err := s.store.Apply(s.ctx, store.Put(key, nil)); return err },
		func(string) error {
			w, err := s.store.Watch(s.ctx, "", 0)
			if err == nil {
				w.Close()
			}
			return err
		},
	}
	for n := range 3 * len(calls) {
		begun.Add(1)
		wg.Go(func() {
			for i := 0; ; i++ {
				err := calls[n%len(calls)](fmt.Sprintf("f/%d", n))
				if i == 0 {
					begun.Done()
				}
				if err != nil {
					s.wantKind(err, errs.Unavailable, "a call amid Close")
					return
				}
			}
		})
	}
	begun.Wait()
	s.must(s.store.Close())
	wg.Wait()
}

func reopened(s *suite) {
	if s.Reopen == nil {
		s.Skip("SKIPPED: nothing survives in this store")
	}
	want := map[string]store.Revision{}
	last := store.Revision(0)
	for round := range 4 {
		for i := range 10 {
			key := fmt.Sprintf("f/%d", i)
			rev := s.apply(store.Put(key, []byte(key)), store.Put("g/x", nil))
			if rev <= last {
				s.Fatalf("round %d: revision %d after %d", round, rev, last)
			}
			want[key], last = rev, rev
		}
		last = s.apply(store.Delete("f/0"))
		delete(want, "f/0")
		s.store = s.Reopen(s.T, s.store)
		if now := s.apply(); now != last {
			s.Fatalf("round %d: opened again at revision %d, closed at %d", round, now, last)
		}
		for key, rev := range want {
			s.holds(key, key, rev)
		}
		s.holds("f/0", "", 0)
		if n := len(s.list("f/", "", 0)); n != len(want) {
			s.Errorf("%d names, want %d", n, len(want))
		}
		w := s.watch("f/", last)
		rev := s.put("f/0", "f/0")
		s.wantEvent(s.next(w), rev, "f/0=f/0")
		want["f/0"], last = rev, rev
	}
}

func reopenedEmpty(s *suite) {
	if s.Reopen == nil {
		s.Skip("SKIPPED: nothing survives in this store")
	}
	before := s.apply()
	s.store = s.Reopen(s.T, s.store)
	if now := s.apply(); now != before {
		s.Errorf("an empty store was at %d, opened again it is at %d", before, now)
	}
	s.put("f/a", "x")
}
