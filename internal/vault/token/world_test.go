package token

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/expiry"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

const (
	hour = time.Hour
	day  = 24 * hour
)

// world is a store, a Manager and a clock that stands still until it is moved.
type world struct {
	t     *testing.T
	m     *Manager
	store store.Store
	now   time.Time
	gone  map[string]int
	lost  map[string]bool // mounts that were disabled
	more  int             // how often gone says it has not finished
	extra int             // keys that gone deletes
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, store: mem.New(mem.Config{}), now: time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC), gone: map[string]int{}, lost: map[string]bool{}}
	t.Cleanup(func() { w.store.Close() })
	m, err := New(Config{
		Key: redact.New(bytes.Repeat([]byte{7}, 32)), Now: func() time.Time { return w.now },
		Lost: func(mountID string) bool { return w.lost[mountID] },
		Gone: func(_ context.Context, tx Tx, key string) (bool, error) {
			w.gone[key]++
			for i := range w.extra {
				tx.Delete(fmt.Sprint("cubbyhole/", key, "/", i))
			}
			w.more--
			return w.more >= 0, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.m = m
	return w
}

// do runs f in a transaction and commits it, and returns f's or the commit's error.
func (w *world) do(f func(tx *store.Txn) error) error {
	tx := store.Begin(w.store)
	if err := f(tx); err != nil {
		return err
	}
	_, err := tx.Commit(context.Background())
	return err
}

func (w *world) must(f func(tx *store.Txn) error) {
	w.t.Helper()
	if err := w.do(f); err != nil {
		w.t.Fatal(err)
	}
}

// spec fills in what every service token needs.
func spec(s Spec) Spec {
	s.Default, s.Max = 768*hour, 768*hour
	if s.Policies == nil {
		s.Policies = []string{"default"}
	}
	if s.Path == "" {
		s.Path = "auth/token/create"
	}
	return s
}

func (w *world) create(s Spec) Created {
	w.t.Helper()
	var c Created
	w.must(func(tx *store.Txn) (err error) {
		c, err = w.m.Create(context.Background(), tx, spec(s))
		return err
	})
	return c
}

func (w *world) root() Created {
	w.t.Helper()
	var c Created
	w.must(func(tx *store.Txn) (err error) {
		c, err = w.m.Create(context.Background(), tx, RootSpec(redact.Secret{}))
		return err
	})
	return c
}

func (w *world) lookup(c Created) (*Entry, error) {
	return w.m.Lookup(context.Background(), w.store, c.Token.RevealString())
}

func (w *world) valid(c Created) bool {
	w.t.Helper()
	_, err := w.lookup(c)
	if err != nil && (!errs.Is(err, errs.Unauthenticated) || err.Error() != "permission denied") {
		w.t.Fatalf("lookup: kind %v, text %q; want one text for all", errs.KindOf(err), err)
	}
	return err == nil
}

func (w *world) revoke(c Created, mode RevokeMode) {
	w.t.Helper()
	w.must(func(tx *store.Txn) error { return w.m.Revoke(context.Background(), tx, c.Entry.Key, mode) })
}

// sweep does all background work that is due now, as the Expirer would, until
// there is no more, and returns how many commits it took.
func (w *world) sweep() (commits int) {
	w.t.Helper()
	ctx := context.Background()
	for range 1000 {
		worked := false
		for _, k := range w.m.Kinds() {
			names, err := w.store.List(ctx, expiry.Prefix+k.Name+"/", "", 0)
			if err != nil {
				w.t.Fatal(err)
			}
			for _, name := range names {
				var seconds int64
				fmt.Sscanf(name[:12], "%d", &seconds)
				ref := expiry.Ref{Kind: k.Name, ID: name[13:], Due: time.Unix(seconds, 0).UTC()}
				if ref.Due.After(w.now) {
					break
				}
				worked = true
				commits++
				w.must(func(tx *store.Txn) error {
					again, err := k.Handle(ctx, tx, ref)
					if err == nil && again.IsZero() {
						tx.Delete(ref.Key())
					}
					if w.extra == 0 && tx.Writes() > store.MaxChanges/2 {
						w.t.Errorf("one commit of %s changes %d keys", k.Name, tx.Writes())
					}
					return err
				})
			}
		}
		if !worked {
			return commits
		}
	}
	w.t.Fatal("background work does not come to an end")
	return 0
}

// keys returns every key of the store.
func (w *world) keys() []string {
	w.t.Helper()
	var walk func(folder string) []string
	walk = func(folder string) (all []string) {
		names, err := w.store.List(context.Background(), folder, "", 0)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, n := range names {
			if strings.HasSuffix(n, "/") {
				all = append(all, walk(folder+n)...)
			} else {
				all = append(all, folder+n)
			}
		}
		return all
	}
	return walk("")
}
