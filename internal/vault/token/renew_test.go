package token

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/expiry"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

func TestUse(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	c := w.create(Spec{TTL: hour, NumUses: 2})
	use := func() (last bool, err error) {
		err = w.do(func(tx *store.Txn) error {
			e, err := w.m.Lookup(ctx, tx, c.Token.RevealString())
			if err != nil {
				return err
			}
			last, err = w.m.Use(ctx, tx, e)
			if err != nil || !last {
				return err
			}
			if got, err := w.m.Get(ctx, tx, e.Key); err != nil || !got.Spent() {
				t.Errorf("the handler of the last request cannot see its token: %v", err)
			}
			return w.m.Revoke(ctx, tx, e.Key, Tree)
		})
		return last, err
	}
	if last, err := use(); last || err != nil {
		t.Errorf("first of two: %v, %v", last, err)
	}
	if e, err := w.lookup(c); err != nil || e.NumUses != 1 {
		t.Errorf("after one use: %+v, %v", e, err)
	}
	if last, err := use(); !last || err != nil {
		t.Errorf("second of two: %v, %v", last, err)
	}
	if _, err := use(); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("third of two: %v", err)
	}
	if left := w.keys(); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
	endless := w.create(Spec{TTL: hour})
	w.must(func(tx *store.Txn) error {
		last, err := w.m.Use(ctx, tx, endless.Entry)
		if last || tx.Writes() != 0 {
			t.Error("a token without a limit was counted")
		}
		return err
	})
}

// Two requests with a token for one use: one of them must lose.
func TestLastUseTwiceAtOnce(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	c := w.create(Spec{TTL: hour, NumUses: 1})
	a, b := store.Begin(w.store), store.Begin(w.store)
	for _, tx := range []*store.Txn{a, b} {
		last, err := w.m.Use(ctx, tx, c.Entry)
		if err != nil || !last {
			t.Fatal(last, err)
		}
		if err := w.m.Revoke(ctx, tx, c.Entry.Key, Tree); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Commit(ctx); !errs.Is(err, errs.Conflict) {
		t.Errorf("the second request committed: %v", err)
	}
}

func TestRenew(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	limits := Limits{Default: 768 * hour, Max: 768 * hour}
	renew := func(c Created, inc time.Duration, l Limits) (e *Entry, warn []string, err error) {
		err = w.do(func(tx *store.Txn) (err error) {
			e, warn, err = w.m.Renew(ctx, tx, c.Entry, inc, l)
			return err
		})
		return e, warn, err
	}
	c := w.create(Spec{TTL: hour, Renewable: true})
	w.now = w.now.Add(30 * time.Minute)
	e, warn, err := renew(c, 0, limits)
	if err != nil || !e.Expires.Equal(w.now.Add(hour)) || !e.LastRenewal.Equal(w.now) || len(warn) != 0 || e.TTL != hour {
		t.Errorf("by what it was made with: %+v, %q, %v", e, warn, err)
	}
	e, warn, err = renew(c, 10000*hour, limits)
	if err != nil || !e.Expires.Equal(c.Entry.Created.Add(768*hour)) ||
		!slices.Equal(warn, []string{`TTL of "10000h0m0s" exceeded the effective max_ttl of "768h0m0s"; TTL value is capped accordingly`}) {
		t.Errorf("capped: %+v, %q, %v", e, warn, err)
	}
	if got := len(w.keys()); got != 3 {
		t.Errorf("renewals leave traces: %q", w.keys())
	}
	periodic := w.create(Spec{Period: hour, Renewable: true})
	for range 100 {
		w.now = w.now.Add(59 * time.Minute)
		if e, _, err := renew(periodic, 99*hour, limits); err != nil || !e.Expires.Equal(w.now.Add(hour)) {
			t.Fatalf("periodic: %+v, %v", e, err)
		}
	}
	explicit := w.create(Spec{Period: hour, ExplicitMaxTTL: 90 * time.Minute, Renewable: true})
	w.now = w.now.Add(50 * time.Minute)
	if e, warn, err := renew(explicit, 0, limits); err != nil || e.Remaining(w.now) != 40*time.Minute || len(warn) != 1 {
		t.Errorf("explicit max: %+v, %q, %v", e, warn, err)
	}
	role := w.create(Spec{TTL: hour, Renewable: true})
	if e, _, err := renew(role, 0, Limits{Default: hour, Max: day, TTL: 2 * hour, MaxTTL: 3 * hour}); err != nil || e.Remaining(w.now) != 2*hour {
		t.Errorf("by the role as it is now: %+v, %v", e, err)
	}
	for name, c := range map[string]struct {
		c    Created
		inc  time.Duration
		kind errs.Kind
		text string
	}{
		"not renewable": {w.create(Spec{TTL: hour}), 0, errs.Invalid, "lease is not renewable"},
		"root":          {w.root(), 0, errs.Invalid, "lease is not renewable"},
		"batch":         {w.create(Spec{TTL: hour, Type: Batch, Renewable: true}), 0, errs.Invalid, "batch tokens cannot be renewed"},
		"negative":      {w.create(Spec{TTL: hour, Renewable: true}), -1, errs.Invalid, "increment cannot be negative"},
	} {
		if _, _, err := renew(c.c, c.inc, limits); !errs.Is(err, c.kind) || err.Error() != c.text {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.revoke(role, Tree)
	if _, _, err := renew(role, 0, limits); !errs.Is(err, errs.Unauthenticated) {
		t.Errorf("revoked: %v", err)
	}
}

// The due entry of before a renewal must not end the token.
func TestStaleDueTimeDoesNothing(t *testing.T) {
	w := newWorld(t)
	c := w.create(Spec{TTL: hour, Renewable: true})
	stale := c.Entry.due()
	w.now = w.now.Add(59 * time.Minute)
	w.must(func(tx *store.Txn) error {
		_, _, err := w.m.Renew(context.Background(), tx, c.Entry, 0, Limits{Default: hour, Max: day})
		expiry.Add(tx, stale) // as if the expirer had moved it for a retry
		return err
	})
	w.now = w.now.Add(2 * time.Minute)
	w.sweep()
	if !w.valid(c) {
		t.Error("a renewed token was ended by its old due time")
	}
}
