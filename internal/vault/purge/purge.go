package purge

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/identity"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/password"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

// Config of a Purger. All fields are set.
type Config struct {
	Mounts     *mount.Registry
	Namespaces *namespace.Registry
	Tokens     *token.Manager
	Leases     *lease.Manager
	Reload     sync.Locker // is held while the table of mounts is loaded
	Log        *slog.Logger
}

// Purger purges one vault. Any number of goroutines may use it.
type Purger struct {
	cfg   Config
	asked chan struct{} // capacity 1
}

// New returns a Purger, which does nothing by itself.
func New(cfg Config) *Purger { return &Purger{cfg: cfg, asked: make(chan struct{}, 1)} }

// Run deletes what removed namespaces and mounts left, also what a crash left
// undone: at once, whenever it is asked for, and after failures. One goroutine
// does it, however many changes there are while something cannot be deleted. What it
// deletes it deletes through s, which is fenced where there are other nodes.
func (p *Purger) Run(ctx context.Context, s store.Store) {
	for pause := minPause; ; {
		var again <-chan time.Time
		if p.Once(ctx, s) {
			pause = minPause
		} else {
			again, pause = time.After(pause), min(2*pause, maxPause)
		}
		select {
		case <-ctx.Done():
			return
		case <-p.asked:
		case <-again:
		}
	}
}

// Ask has Run look soon.
func (p *Purger) Ask() {
	select {
	case p.asked <- struct{}{}:
	default: // asked already
	}
}

// Pauses after a purge failed: a database that is down keeps its leases from
// being ended, and with them their namespace from being deleted.
const (
	minPause = 10 * time.Second
	maxPause = time.Hour
)

// Once is one attempt, and reports whether nothing is left.
func (p *Purger) Once(ctx context.Context, s store.Store) bool {
	err := p.purgeNamespaces(ctx, s)
	dropped := p.dropLeases(ctx, s)
	if dropped == nil {
		dropped = p.cfg.Mounts.Purge(ctx, s)
	}
	if err = errors.Join(err, dropped); err != nil && ctx.Err() == nil {
		p.cfg.Log.Warn("deleting the data of removed namespaces and mounts; will try again", "error", err)
	}
	return err == nil
}

func (p *Purger) purgeNamespaces(ctx context.Context, s store.Store) error {
	removed, err := p.cfg.Namespaces.Removed(ctx)
	if err != nil {
		return err
	}
	var all []error
	for _, e := range removed {
		if err := p.purgeNamespace(ctx, s, e); err != nil {
			all = append(all, errs.Newf(errs.KindOf(err), "deleting what belonged to namespace %q: %w", e.Path, err))
		}
	}
	return errors.Join(all...)
}

// purgeNamespace deletes what belonged to a deleted namespace: its leases, its
// mounts, its tokens, and what the engines of all namespaces kept for it. Each step may be
// run again after a crash; the purge key goes last.
func (p *Purger) purgeNamespace(ctx context.Context, s store.Store, e *namespace.Entry) error {
	if err := p.removeMounts(ctx, s, e.ID); err != nil {
		return err
	}
	for more := true; more; {
		err := commit(ctx, s, func(t tx) (err error) {
			more, err = p.cfg.Tokens.RevokeNamespace(ctx, t, e.ID)
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, folder := range []string{e.Namespace().Folder(), password.Folder + e.ID + "/"} {
		if err := p.cfg.Mounts.PurgeFolder(ctx, s, folder); err != nil {
			return err
		}
	}
	if err := p.cfg.Mounts.PurgeFolder(ctx, s, identity.Folder(e.ID)); err != nil {
		return err
	}
	_, err := s.Apply(ctx, store.Delete(namespace.PurgePrefix+e.ID))
	if err == nil {
		p.cfg.Log.Info("namespace is deleted", "namespace", e.Path)
	}
	return err
}

// removeMounts removes the mounts of a deleted namespace, until a table that has what every node
// mounted so far has none.
func (p *Purger) removeMounts(ctx context.Context, s store.Store, id string) error {
	for {
		var own []*mount.Mount
		err := commit(ctx, s, func(t tx) error {
			table, err := p.freshMounts(ctx, t)
			if err == nil {
				own = table.Own(id)
			}
			return err
		})
		if err != nil || len(own) == 0 {
			return err
		}
		for _, m := range own {
			if err := p.cfg.Leases.EndMount(ctx, m.ID); err != nil {
				return err
			}
			if err := commit(ctx, s, func(t tx) error { return p.removeMount(ctx, t, m) }); err != nil {
				return err
			}
		}
	}
}

// removeMount removes one that may have been removed meanwhile.
func (p *Purger) removeMount(ctx context.Context, t tx, m *mount.Mount) error {
	stored, err := t.Get(ctx, mount.EntryPrefix+m.ID)
	if err != nil || !stored.Exists() {
		return err
	}
	p.cfg.Reload.Lock()
	defer p.cfg.Reload.Unlock()
	return p.cfg.Mounts.Remove(ctx, t, m)
}

func (p *Purger) freshMounts(ctx context.Context, t tx) (*mount.Table, error) {
	p.cfg.Reload.Lock()
	defer p.cfg.Reload.Unlock()
	return p.cfg.Mounts.Fresh(ctx, t)
}

// dropLeases removes the leases that removed mounts left.
func (p *Purger) dropLeases(ctx context.Context, s store.Store) error {
	ids, err := s.List(ctx, mount.PurgePrefix, "", 0)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := p.cfg.Leases.Drop(ctx, s, id); err != nil {
			return err
		}
	}
	return nil
}

// tx is a transaction that announces nothing.
type tx struct{ *store.Txn }

func (tx) Emit(engine.Event) {}

// maxRuns bounds how often a transaction is run again after a conflict.
const maxRuns = 1000

// commit runs change in a transaction of its own, anew after conflicts.
func commit(ctx context.Context, s store.Store, change func(tx) error) error {
	for range maxRuns {
		t := tx{store.Begin(s)}
		if err := change(t); err != nil {
			return err
		}
		if _, err := t.Commit(ctx); !errs.Is(err, errs.Conflict) || ctx.Err() != nil {
			return err
		}
	}
	return errs.New(errs.Unavailable, "too many others change the same entries; try again")
}
