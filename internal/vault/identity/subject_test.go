package identity

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/identity/record"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// CVE-2024-9180, CVE-2025-5999, CVE-2025-64761 (facts §6): no spelling of root
// gets into an identity.
func TestCVE20255999PoliciesOfIdentitiesAreNeverRoot(t *testing.T) {
	for _, name := range []string{"root", "ROOT", "Root", " root", "root ", "\troot\n", "rOoT\u00a0", "response-wrapping", "Response-Wrapping", "r\u00f6ot", "../root", "ro\u200bot"} {
		if got, err := Policies([]string{"a", name}); !errs.Is(err, errs.Invalid) {
			t.Errorf("%q: %v, %v", name, got, err)
		}
	}
	if got, err := Policies([]string{"B", " a ", "", "b"}); err != nil || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%v, %v", got, err)
	}
	// Even a row that holds it makes nobody root.
	w := newWorld(t)
	e := w.person("ann")
	b, err := record.Encode("x", &Entity{ID: e.ID, Name: "ann", Policies: []string{"a", "root"}})
	if err != nil {
		t.Fatal(err)
	}
	w.must(func(tx *store.Txn) error { tx.Put(In(tx, ns).EntityKey(e.ID), b); return nil })
	if s := w.subject(e.ID); !slices.Equal(s.With([]string{"default"}), []string{"a", "default"}) {
		t.Errorf("%v", s.With([]string{"default"}))
	}
}

// Groups in groups: their policies come to the members of members; circles are refused.
func TestNestedGroups(t *testing.T) {
	w := newWorld(t)
	ann := w.person("ann", "own")
	low := w.group("low", func(g *Group) { g.Policies = []string{"p-low"} }, ann.ID)
	mid := w.group("mid", func(g *Group) { g.Policies, g.Groups = []string{"p-mid"}, []string{low.ID} })
	top := w.group("top", func(g *Group) { g.Policies, g.Groups = []string{"p-top"}, []string{mid.ID, low.ID} })
	if s := w.subject(ann.ID); !slices.Equal(s.Policies, []string{"own", "p-low", "p-mid", "p-top"}) || len(s.Identity.Groups) != 3 {
		t.Errorf("%v", s.Policies)
	}
	for _, c := range [][2]*Group{{low, top}, {low, low}, {mid, top}, {top, top}} {
		w.refused(errs.Invalid, "cyclic relationship", func(ctx context.Context, x Edit) error {
			old, err := x.Group(ctx, c[0].ID)
			if err != nil {
				return err
			}
			g := old.Clone()
			g.Groups = append(slices.Clone(g.Groups), c[1].ID)
			return x.PutGroup(ctx, old, g)
		})
	}
	w.group("top", func(g *Group) { g.Groups = []string{low.ID} })
	if s := w.subject(ann.ID); !slices.Equal(s.Policies, []string{"own", "p-low", "p-mid", "p-top"}) {
		t.Errorf("%v", s.Policies)
	}
	w.edit(func(ctx context.Context, x Edit) error {
		g, err := x.Group(ctx, mid.ID)
		if err != nil {
			return err
		}
		return x.DeleteGroup(ctx, g)
	})
	w.group("top", func(g *Group) { g.Groups = nil })
	if s := w.subject(ann.ID); !slices.Equal(s.Policies, []string{"own", "p-low"}) {
		t.Errorf("%v", s.Policies)
	}
}

// A change of what a Subject is made of holds from the next request on; what did
// not change costs no allocation.
func TestSubjectIsKept(t *testing.T) {
	w := newWorld(t)
	ann := w.person("ann")
	w.group("g", func(g *Group) { g.Policies = []string{"p"} }, ann.ID)
	s := w.subject(ann.ID)
	if again := w.subject(ann.ID); again != s {
		t.Error("made anew")
	}
	token := []string{"default"}
	if n := testing.AllocsPerRun(100, func() {
		again, err := w.m.Subject(context.Background(), w.store, ns, ann.ID)
		if err != nil || len(again.With(token)) != 2 {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
	w.group("g", func(g *Group) { g.Policies = []string{"q"} })
	if now := w.subject(ann.ID); now == s || !slices.Equal(now.With(token), []string{"default", "q"}) {
		t.Errorf("%v", now.Policies)
	}
	if s.With([]string{"root"})[0] != "root" || len(s.With([]string{"root"})) != 1 {
		t.Error("root is not alone")
	}
	if other, err := w.m.Subject(context.Background(), w.store, "abcde", ann.ID); err != nil || other != nil {
		t.Error("an entity is seen from another namespace")
	}
	tx := store.Begin(w.store)
	if err := w.m.Edit(tx, ns).DeleteEntity(context.Background(), w.entity(ann.ID)); err != nil {
		t.Fatal(err)
	}
	if in, err := w.m.Subject(context.Background(), tx, ns, ann.ID); err != nil || in != nil {
		t.Error("a transaction does not see what it deleted")
	}
	if w.subject(ann.ID) == nil {
		t.Error("a transaction that was not committed is seen outside")
	}
}

// Facts §4.2.4: 100,000 entities are rows, and not in memory.
func TestMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED with -short: makes 20,000 entities")
	}
	w := newWorld(t)
	ids := make([]string, 20_000)
	for i := range ids {
		s, _ := w.login(Login{Accessor: k8s, Name: fmt.Sprint("uid-", i)})
		ids[i] = s.EntityID
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for _, id := range ids {
		w.subject(id)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("looking at %d entities keeps %d bytes", len(ids), grown)
	}
}

func BenchmarkSubject(b *testing.B) {
	w := newWorld(b)
	s, _ := w.login(Login{Accessor: k8s, Name: "ann"})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := w.m.Subject(context.Background(), w.store, ns, s.EntityID); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLogin(b *testing.B) {
	w := newWorld(b)
	l := Login{Accessor: k8s, Name: "ann"}
	w.login(l)
	b.ReportAllocs()
	for b.Loop() {
		tx := store.Begin(w.store)
		s, err := w.m.Login(context.Background(), tx, ns, l)
		if err != nil || s.Finish(context.Background(), w.now) != nil || tx.Writes() != 0 {
			b.Fatal(err)
		}
	}
}
