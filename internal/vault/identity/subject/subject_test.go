package subject

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/identity/record"
	"github.com/strongkeep/strongkeep/internal/vault/identity/rows"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

const ns = "" // the root

// world is a store with rows as package identity writes them.
type world struct {
	t     *testing.T
	store store.Store
	cache *Cache
}

func newWorld(t *testing.T) *world {
	w := &world{t, mem.New(mem.Config{}), NewCache()}
	t.Cleanup(func() { _ = w.store.Close() })
	return w
}

func (w *world) put(key string, v any) {
	w.t.Helper()
	b, err := record.Encode("a row", v)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.store.Apply(context.Background(), store.Put(key, b)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) group(g *record.Group) { w.put(rows.Of(ns).GroupKey(g.ID), g) }

func (w *world) entity(e *record.Entity) { w.put(rows.Of(ns).EntityKey(e.ID), e) }

func (w *world) get(id string) (*Subject, error) {
	return w.cache.Get(context.Background(), w.store, ns, id)
}

// nested makes a tree of n groups, each with at most 30 groups that contain it,
// and returns the one that all others contain. The last has policy last.
func (w *world) nested(n int, last string) (bottom string) {
	for i := range n {
		g := &record.Group{ID: fmt.Sprintf("g%05d", i), Name: fmt.Sprint("group-", i)}
		for p := 30*i + 1; p <= 30*i+30 && p < n; p++ {
			g.Parents = append(g.Parents, fmt.Sprintf("g%05d", p))
		}
		if i == n-1 {
			g.Policies = []string{last}
		}
		w.group(g)
	}
	return "g00000"
}

// Of all groups none may be left out: a deny may be in the last.
func TestTooManyGroupsAreRefused(t *testing.T) {
	for _, c := range []struct {
		groups  int
		allowed bool
	}{{1, true}, {maxGroups, true}, {maxGroups + 1, false}, {2 * maxGroups, false}} {
		t.Run(fmt.Sprint(c.groups), func(t *testing.T) {
			w := newWorld(t)
			w.entity(&record.Entity{ID: "ann", Name: "ann", Groups: []string{w.nested(c.groups, "the-deny")}})
			for range 2 { // the second comes from the cache
				s, err := w.get("ann")
				switch {
				case c.allowed && (err != nil || !slices.Equal(s.Policies, []string{"the-deny"}) || len(s.Identity.Groups) != c.groups):
					t.Errorf("got %v %v", s, err)
				case !c.allowed && (!errs.Is(err, errs.Denied) || s != nil || !strings.Contains(err.Error(), "more than 1000 groups") || !strings.Contains(err.Error(), "member_entity_ids")):
					t.Errorf("got %v %v", s, err)
				}
			}
			e := &record.Entity{ID: "new", Name: "new", Groups: []string{"g00000"}}
			if s, err := Of(context.Background(), rows.In(w.store, ns), e); (err == nil) != c.allowed || (s != nil) != c.allowed {
				t.Errorf("of one that is not stored: %v %v", s, err)
			}
		})
	}
}

// Who was refused is let in as soon as the groups are few enough again.
func TestRefusedUntilMended(t *testing.T) {
	w := newWorld(t)
	w.entity(&record.Entity{ID: "ann", Name: "ann", Groups: []string{w.nested(maxGroups+1, "p")}})
	if _, err := w.get("ann"); !errs.Is(err, errs.Denied) {
		t.Fatal(err)
	}
	w.group(&record.Group{ID: "g00000", Name: "group-0", Policies: []string{"q"}}) // nothing contains it any more
	if s, err := w.get("ann"); err != nil || !slices.Equal(s.Policies, []string{"q"}) {
		t.Errorf("got %v %v", s, err)
	}
}

// Groups that are no more do not count: nothing can be forbidden by them.
func TestDeletedGroupsDoNotCount(t *testing.T) {
	w := newWorld(t)
	e := &record.Entity{ID: "ann", Name: "ann", Groups: []string{w.nested(maxGroups, "p")}}
	for i := range 20 {
		e.Groups = append(e.Groups, fmt.Sprint("gone-", i))
	}
	w.entity(e)
	if s, err := w.get("ann"); err != nil || !slices.Equal(s.Policies, []string{"p"}) {
		t.Errorf("got %v %v", s, err)
	}
}

// A circle in what is stored, which no writer makes, ends.
func TestCircleEnds(t *testing.T) {
	w := newWorld(t)
	w.group(&record.Group{ID: "a", Name: "a", Parents: []string{"b"}, Policies: []string{"p"}})
	w.group(&record.Group{ID: "b", Name: "b", Parents: []string{"a"}, Policies: []string{"q"}})
	w.entity(&record.Entity{ID: "ann", Name: "ann", Groups: []string{"a"}})
	if s, err := w.get("ann"); err != nil || !slices.Equal(s.Policies, []string{"p", "q"}) {
		t.Errorf("got %v %v", s, err)
	}
}

func TestWhoIsNotThere(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"", "nobody", "a/b", strings.Repeat("x", 200)} {
		if s, err := w.get(id); s != nil || err != nil {
			t.Errorf("%q: %v %v", id, s, err)
		}
	}
	w.entity(&record.Entity{ID: "new", Name: "new"})
	w.put(rows.Of(ns).MergedKey("old"), record.Reference{Owner: "new"})
	if s, err := w.get("old"); err != nil || s.EntityID != "new" {
		t.Errorf("one that was merged: %v %v", s, err)
	}
}
