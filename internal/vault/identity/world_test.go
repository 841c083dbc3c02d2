package identity

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/expiry"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

const (
	hour = time.Hour
	ns   = "" // the root
	k8s  = "auth_kubernetes_1"
)

// world is a Manager on a store of its own, with a clock that stands still.
type world struct {
	t     testing.TB
	m     *Manager
	store store.Store
	now   time.Time
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, store: mem.New(mem.Config{}), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	w.m = New(func() time.Time { return w.now }, nil)
	t.Cleanup(func() { w.store.Close() })
	return w
}

// try runs change in one transaction, commits it, and says how many keys it wrote.
func (w *world) try(change func(tx *store.Txn) error) (int, error) {
	w.t.Helper()
	tx := store.Begin(w.store)
	if err := change(tx); err != nil {
		return 0, err
	}
	_, err := tx.Commit(context.Background())
	return tx.Writes(), err
}

func (w *world) must(change func(tx *store.Txn) error) int {
	w.t.Helper()
	n, err := w.try(change)
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) edit(change func(ctx context.Context, x Edit) error) {
	w.t.Helper()
	w.must(func(tx *store.Txn) error { return change(context.Background(), w.m.Edit(tx, ns)) })
}

func (w *world) refused(kind errs.Kind, text string, change func(ctx context.Context, x Edit) error) {
	w.t.Helper()
	_, err := w.try(func(tx *store.Txn) error { return change(context.Background(), w.m.Edit(tx, ns)) })
	if !errs.Is(err, kind) || !strings.Contains(err.Error(), text) {
		w.t.Errorf("got %v, want kind %v with %q", err, kind, text)
	}
}

// login logs in for an hour.
func (w *world) login(l Login) (*Session, int) {
	w.t.Helper()
	var s *Session
	n := w.must(func(tx *store.Txn) (err error) {
		if s, err = w.m.Login(context.Background(), tx, ns, l); err != nil {
			return err
		}
		return s.Finish(context.Background(), w.now.Add(hour))
	})
	return s, n
}

func (w *world) entity(id string) *Entity {
	w.t.Helper()
	e, err := In(w.store, ns).Entity(context.Background(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

func (w *world) subject(id string) *Subject {
	w.t.Helper()
	s, err := w.m.Subject(context.Background(), w.store, ns, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// person makes an entity with a name.
func (w *world) person(name string, policies ...string) *Entity {
	w.t.Helper()
	var e *Entity
	w.edit(func(ctx context.Context, x Edit) (err error) {
		if e, err = x.NewEntity(); err != nil {
			return err
		}
		e.Name, e.Policies = name, policies
		return x.PutEntity(ctx, nil, e)
	})
	return e
}

// group makes or changes a group.
func (w *world) group(name string, change func(g *Group), members ...string) *Group {
	w.t.Helper()
	var g *Group
	w.edit(func(ctx context.Context, x Edit) error {
		old, err := x.GroupNamed(ctx, name)
		if err != nil {
			return err
		}
		if old != nil {
			g = old.Clone()
		} else if g, err = x.NewGroup(); err != nil {
			return err
		}
		g.Name = name
		if change != nil {
			change(g)
		}
		if err := x.PutGroup(ctx, old, g); err != nil || members == nil {
			return err
		}
		return x.SetMembers(ctx, g, members)
	})
	return g
}

// sweepDue handles everything that is due now.
func (w *world) sweepDue() {
	w.t.Helper()
	ctx := context.Background()
	names, err := w.store.List(ctx, expiry.Prefix+kindCollect+"/", "", 0)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, name := range names {
		seconds, id, _ := strings.Cut(name, "-")
		due, err := time.ParseDuration(seconds + "s")
		if err != nil {
			w.t.Fatal(err)
		}
		ref := expiry.Ref{Kind: kindCollect, ID: id, Due: time.Unix(0, 0).Add(due)}
		if ref.Due.After(w.now) {
			continue
		}
		w.must(func(tx *store.Txn) error {
			again, err := w.m.collect(ctx, tx, ref)
			tx.Delete(ref.Key())
			if !again.IsZero() {
				if !again.After(w.now) {
					w.t.Errorf("%s is due again at once", id)
				}
				expiry.Add(tx, expiry.Ref{Kind: kindCollect, ID: id, Due: again})
			}
			return err
		})
	}
}

// keys returns all stored keys below prefix.
func (w *world) keys(prefix string) (all []string) {
	w.t.Helper()
	names, err := w.store.List(context.Background(), prefix, "", 0)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, n := range names {
		if strings.HasSuffix(n, "/") {
			all = append(all, w.keys(prefix+n)...)
		} else {
			all = append(all, prefix+n)
		}
	}
	slices.Sort(all)
	return all
}

// sweep removes what belongs to mounts other than those given.
func (w *world) sweep(mounted ...string) {
	w.t.Helper()
	update := func(ctx context.Context, change func(context.Context, Tx) error) error {
		_, err := w.try(func(tx *store.Txn) error { return change(ctx, tx) })
		return err
	}
	err := w.m.Sweep(context.Background(), w.store, update, func(a string) bool { return slices.Contains(mounted, a) })
	if err != nil {
		w.t.Fatal(err)
	}
}
