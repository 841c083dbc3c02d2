package pebble

import (
	"fmt"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

func TestRecent(t *testing.T) {
	var r recent
	r.age()
	for i := range 3 * recentKeys { // one commit, however large, is remembered whole
		r.put(fmt.Sprint(i), store.Revision(i))
	}
	for i := range 3 * recentKeys {
		if rev, ok := r.get(fmt.Sprint(i)); !ok || rev != store.Revision(i) {
			t.Fatalf("key %d: %d, %v", i, rev, ok)
		}
	}
	r.age()
	if rev, ok := r.get("7"); !ok || rev != 7 {
		t.Errorf("of the old generation: %d, %v", rev, ok)
	}
	for i := range recentKeys {
		r.put(fmt.Sprint("other ", i), 1)
	}
	r.age()
	if _, ok := r.get("7"); !ok {
		t.Error("what was asked for was forgotten")
	}
	if _, ok := r.get("8"); ok {
		t.Error("nothing is ever forgotten")
	}
	r.forget()
	if _, ok := r.get("7"); ok || len(r.young)+len(r.old) > 0 {
		t.Error("forget left something")
	}
}

// Guards hold for keys the committer remembers, has forgotten, or never saw.
func TestGuardsOfRememberedKeys(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	apply := func(want errs.Kind, changes ...store.Change) store.Revision {
		t.Helper()
		rev, err := s.Apply(t.Context(), changes...)
		if ok := err == nil; ok != (want == 0) || !ok && !errs.Is(err, want) {
			t.Fatalf("%+v: %v, want kind %v", changes, err, want)
		}
		return rev
	}
	first := apply(0, store.Put("a", nil), store.Put("b", nil))
	for round := range 4 {
		apply(errs.Conflict, store.Put("a", nil).If(first+1000))
		apply(errs.Conflict, store.Put("a", nil).If(0))
		apply(errs.Conflict, store.Check("absent", first))
		apply(0, store.Check("a", first), store.Check("absent", 0))
		s.recent.forget()
		gone := fmt.Sprint("gone/", round)
		apply(0, store.Put(gone, nil).If(0))
		apply(0, store.Delete(gone))
		apply(0, store.Check(gone, 0))
		apply(0, store.Put(gone, nil).If(0))
		apply(errs.Conflict, store.Put(gone, nil).If(0))
	}
	second := apply(0, store.Put("a", nil).If(first))
	apply(errs.Conflict, store.Put("a", nil).If(first))
	apply(0, store.Put("a", nil).If(second), store.Check("b", first))
}
