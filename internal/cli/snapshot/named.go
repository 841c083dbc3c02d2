package snapshot

import (
	"context"

	compose "github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// named says of a base store that is not available which one it is: a move has two.
type named struct {
	store.Store
	name string
}

// nameOf tells people which store a configuration file means.
func nameOf(file string, c *compose.ServerConfig) string {
	name := "the store of " + file
	for i, at := range c.EtcdEndpoints {
		if i > 0 {
			name += ","
		}
		name += " " + at
	}
	return name
}

// say names the store in errors that do not answer what was asked.
func say(name string, err error) error {
	if kind := errs.KindOf(err); err != nil && (kind == errs.Unavailable || kind == errs.Internal) {
		return errs.Newf(kind, "%s: %w", name, err)
	}
	return err
}

func (n named) Get(ctx context.Context, key string) (store.Entry, error) {
	e, err := n.Store.Get(ctx, key)
	return e, say(n.name, err)
}

func (n named) List(ctx context.Context, folder, after string, limit int) ([]string, error) {
	names, err := n.Store.List(ctx, folder, after, limit)
	return names, say(n.name, err)
}

func (n named) Apply(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	rev, err := n.Store.Apply(ctx, changes...)
	return rev, say(n.name, err)
}

func (n named) Watch(ctx context.Context, prefix string, from store.Revision) (store.Watcher, error) {
	w, err := n.Store.Watch(ctx, prefix, from)
	return w, say(n.name, err)
}

func (n named) Close() error { return say(n.name, n.Store.Close()) }

// Snapshot implements store.Snapshotter, as base stores do. Kind Unsupported: this one does not.
func (n named) Snapshot(ctx context.Context) (store.Snapshot, error) {
	from, ok := n.Store.(store.Snapshotter)
	if !ok {
		return nil, errs.Newf(errs.Unsupported, "%s cannot be read as it stood at one moment", n.name)
	}
	s, err := from.Snapshot(ctx)
	if err != nil {
		return nil, say(n.name, err)
	}
	return moment{s, n.name}, nil
}

type moment struct {
	store.Snapshot
	name string
}

func (m moment) Next(ctx context.Context) (store.Entry, error) {
	e, err := m.Snapshot.Next(ctx)
	return e, say(m.name, err)
}
