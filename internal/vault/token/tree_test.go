package token

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// A chain of three, and the ways to end it.
func TestTreeRevocation(t *testing.T) {
	for name, c := range map[string]struct {
		mode       RevokeMode
		validAfter [4]bool // of middle, leaf, batch leaf, batch middle
	}{
		"tree":   {Tree, [4]bool{}},
		"orphan": {OrphanKids, [4]bool{true, true, true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			top := w.create(Spec{TTL: hour})
			middle := w.create(Spec{Creator: top.Entry, TTL: hour})
			leaf := w.create(Spec{Creator: middle.Entry, TTL: hour})
			batch := w.create(Spec{Creator: middle.Entry, TTL: hour, Type: Batch})
			batchMiddle := w.create(Spec{Creator: top.Entry, TTL: hour, Type: Batch})
			aside := w.create(Spec{Creator: top.Entry, Orphan: true, TTL: hour})
			if !w.valid(batch) || !w.valid(batchMiddle) {
				t.Error("a batch token is not valid before its parent ends")
			}
			check := func(when string) {
				t.Helper()
				if w.valid(top) || !w.valid(aside) {
					t.Errorf("%s: top valid %v, aside valid %v", when, w.valid(top), w.valid(aside))
				}
				for i, tok := range []Created{middle, leaf, batch, batchMiddle} {
					if w.valid(tok) != c.validAfter[i] {
						t.Errorf("%s: token %d valid is %v", when, i, w.valid(tok))
					}
				}
			}
			w.revoke(top, c.mode)
			check("at once")
			if c.mode == OrphanKids {
				e, err := w.lookup(middle)
				if err != nil || !e.Orphan || e.Parent != "" {
					t.Errorf("before the sweep the child does not know it is an orphan: %+v, %v", e, err)
				}
			}
			w.sweep()
			check("after the sweep")
			if c.mode == Tree && len(w.keys()) != 3 {
				t.Errorf("left: %q", w.keys())
			}
			if c.mode == OrphanKids {
				w.revoke(middle, Tree)
				if w.valid(leaf) || w.valid(batch) {
					t.Error("the tree below an orphan is not revoked with it")
				}
				w.sweep()
				if len(w.keys()) != 3 {
					t.Errorf("left: %q", w.keys())
				}
			}
			for _, tok := range []Created{middle, leaf} {
				if w.gone[tok.Entry.Key] != 1 {
					t.Errorf("others were told %d times", w.gone[tok.Entry.Key])
				}
			}
		})
	}
}

// However many children, revoking is a handful of changes and the sweep goes in
// commits of bounded size.
func TestRevokingManyChildren(t *testing.T) {
	for _, mode := range []RevokeMode{Tree, OrphanKids} {
		w := newWorld(t)
		top := w.create(Spec{TTL: hour})
		var kids []Created
		for range 3*sweepBatch + 1 {
			kids = append(kids, w.create(Spec{Creator: top.Entry, TTL: hour}))
		}
		w.must(func(tx *store.Txn) error {
			err := w.m.Revoke(context.Background(), tx, top.Entry.Key, mode)
			if tx.Writes() > 6 {
				t.Errorf("mode %d: revoking changes %d keys", mode, tx.Writes())
			}
			return err
		})
		if n := w.sweep(); n < 4 {
			t.Errorf("mode %d: swept in %d commits", mode, n)
		}
		for _, k := range kids {
			if w.valid(k) != (mode == OrphanKids) {
				t.Fatalf("mode %d: a child's validity is wrong", mode)
			}
		}
		want := 0
		if mode == OrphanKids {
			want = 3 * len(kids)
		}
		if got := len(w.keys()); got != want {
			t.Errorf("mode %d: %d keys left, want %d", mode, got, want)
		}
	}
}

func TestExpiryOfAParentTakesItsChildren(t *testing.T) {
	w := newWorld(t)
	top := w.create(Spec{TTL: hour})
	kid := w.create(Spec{Creator: top.Entry, TTL: 10 * hour})
	w.now = w.now.Add(hour)
	if w.valid(kid) {
		t.Error("the child outlived its parent before the expirer came")
	}
	w.now = w.now.Add(time.Second)
	w.sweep()
	if left := w.keys(); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

// Of two transactions that race, one making the first child and one revoking
// the parent, only one may commit: a child must never be left out of the sweep.
// Disabling a method ends the tokens of its logins and all that these created,
// whichever mount the children are of.
func TestLostMountTakesItsTokensAndTheirChildren(t *testing.T) {
	w := newWorld(t)
	login := w.create(Spec{TTL: hour, MountID: "kubernetes"})
	child := w.create(Spec{Creator: login.Entry, TTL: hour, MountID: "token"})
	batch := w.create(Spec{Creator: child.Entry, TTL: hour, MountID: "token", Type: Batch})
	alone := w.create(Spec{Creator: login.Entry, Orphan: true, TTL: hour, MountID: "token"})
	for _, c := range []Created{login, child, batch, alone} {
		if !w.valid(c) {
			t.Fatal("a token is not valid while its mount is there")
		}
	}
	w.lost["kubernetes"] = true
	for i, c := range []Created{login, child, batch} {
		if w.valid(c) {
			t.Errorf("token %d of a disabled method is valid", i)
		}
		if c.Entry.Type == Service {
			if _, err := w.m.Get(t.Context(), w.store, c.Entry.Key); !errs.Is(err, errs.Unauthenticated) {
				t.Errorf("token %d by its key: %v", i, err)
			}
		}
	}
	if !w.valid(alone) {
		t.Error("an orphan token ended with the method of the token that created it")
	}
}

func TestFirstChildAndRevocationConflict(t *testing.T) {
	for _, childFirst := range []bool{true, false} {
		w := newWorld(t)
		ctx := context.Background()
		top := w.create(Spec{TTL: hour})
		making, revoking := store.Begin(w.store), store.Begin(w.store)
		if _, err := w.m.Create(ctx, making, spec(Spec{Creator: top.Entry, TTL: hour})); err != nil {
			t.Fatal(err)
		}
		if err := w.m.Revoke(ctx, revoking, top.Entry.Key, Tree); err != nil {
			t.Fatal(err)
		}
		first, second := making, revoking
		if !childFirst {
			first, second = revoking, making
		}
		if _, err := first.Commit(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := second.Commit(ctx); !errs.Is(err, errs.Conflict) {
			t.Errorf("child first %v: the second commit: %v", childFirst, err)
		}
	}
}

func TestChildOfRevokedParentIsRefused(t *testing.T) {
	w := newWorld(t)
	top := w.create(Spec{TTL: hour})
	kid := w.create(Spec{Creator: top.Entry, TTL: hour})
	w.revoke(top, OrphanKids)
	for name, creator := range map[string]*Entry{"revoked": top.Entry, "forged": {Key: "nope"}} {
		err := w.do(func(tx *store.Txn) error {
			_, err := w.m.Create(context.Background(), tx, spec(Spec{Creator: creator, TTL: hour}))
			return err
		})
		if !errs.Is(err, errs.Unauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.create(Spec{Creator: kid.Entry, TTL: hour}) // the child of the revoked one still may
}

func TestDepthIsBounded(t *testing.T) {
	w := newWorld(t)
	at := w.create(Spec{TTL: hour})
	for range maxDepth {
		at = w.create(Spec{Creator: at.Entry, TTL: hour})
	}
	if !w.valid(at) {
		t.Error("the deepest is not valid")
	}
	err := w.do(func(tx *store.Txn) error {
		_, err := w.m.Create(context.Background(), tx, spec(Spec{Creator: at.Entry, TTL: hour}))
		return err
	})
	if !errs.Is(err, errs.Invalid) {
		t.Errorf("one deeper: %v", err)
	}
}

func TestGoneInSteps(t *testing.T) {
	w := newWorld(t)
	c := w.create(Spec{TTL: hour})
	w.more = 3
	w.revoke(c, Tree)
	w.sweep()
	if w.gone[c.Entry.Key] != 4 {
		t.Errorf("called %d times, want 4", w.gone[c.Entry.Key])
	}
	if left := w.keys(); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

func TestTidy(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	good := w.create(Spec{TTL: hour})
	kid := w.create(Spec{Creator: good.Entry, TTL: hour})
	for i := range 5 * sweepBatch { // damage: accessors and children of nothing
		name := fmt.Sprint("lost", i)
		w.must(func(tx *store.Txn) error {
			tx.Put(w.m.accessor.path(name), encodeAccessor(name, name))
			tx.Put(childPrefix+name+"/x", []byte{1})
			return nil
		})
	}
	w.must(func(tx *store.Txn) error { w.m.Tidy(tx, ""); return nil })
	w.sweep()
	if got := len(w.keys()); got != 7 {
		t.Errorf("%d keys left, want 7: %q", got, w.keys())
	}
	if _, err := w.m.LookupAccessor(ctx, w.store, kid.Entry.Accessor); err != nil || !w.valid(good) {
		t.Errorf("a good one was tidied away: %v", err)
	}
}

// Tokens of a deleted namespace that have much in their cubbyholes must not make
// its end too large to commit.
func TestRevokeNamespaceOfTokensWithMuchToDrop(t *testing.T) {
	w := newWorld(t)
	for range 10 {
		w.create(Spec{Namespace: "abc12", TTL: hour})
	}
	w.extra = 300
	for more := true; more; {
		w.must(func(tx *store.Txn) (err error) {
			more, err = w.m.RevokeNamespace(t.Context(), tx, "abc12")
			return err
		})
	}
	w.sweep()
	if left := w.keys(); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}

// Children that have much in their cubbyholes must not make a sweep too large to
// commit: it would be tried for ever.
func TestSweepOfChildrenWithMuchToDrop(t *testing.T) {
	w := newWorld(t)
	top := w.create(Spec{TTL: hour})
	for range 10 {
		w.create(Spec{Creator: top.Entry, TTL: hour})
	}
	w.extra = 300
	w.revoke(top, Tree)
	w.sweep()
	if left := w.keys(); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}
