package unsealed

import (
	"context"
	"errors"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/identity"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/password"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// purge deletes what removed namespaces and mounts left, also what a crash left
// undone: at once, whenever it is asked for, and after failures. One goroutine
// does it, however many changes there are while something cannot be deleted.
func (v *Vault) purge(ctx context.Context) {
	for pause := minPurgePause; ; {
		var again <-chan time.Time
		if v.purged(ctx) {
			pause = minPurgePause
		} else {
			again, pause = time.After(pause), min(2*pause, maxPurgePause)
		}
		select {
		case <-ctx.Done():
			return
		case <-v.purgeAsked:
		case <-again:
		}
	}
}

// askPurge has purge look soon.
func (v *Vault) askPurge() {
	select {
	case v.purgeAsked <- struct{}{}:
	default: // asked already
	}
}

// Pauses after a purge failed: a database that is down keeps its leases from
// being ended, and with them their namespace from being deleted.
const (
	minPurgePause = 10 * time.Second
	maxPurgePause = time.Hour
)

// purged is one attempt, and reports whether nothing is left.
func (v *Vault) purged(ctx context.Context) bool {
	err := v.purgeNamespaces(ctx)
	dropped := v.dropLeases(ctx)
	if dropped == nil {
		dropped = v.Mounts.Purge(ctx)
	}
	if err = errors.Join(err, dropped); err != nil && ctx.Err() == nil {
		v.cfg.Log.Warn("deleting the data of removed namespaces and mounts; will try again", "error", err)
	}
	return err == nil
}

func (v *Vault) purgeNamespaces(ctx context.Context) error {
	removed, err := v.Namespaces.Removed(ctx)
	if err != nil {
		return err
	}
	var all []error
	for _, e := range removed {
		if err := v.purgeNamespace(ctx, e); err != nil {
			all = append(all, errs.Newf(errs.KindOf(err), "deleting what belonged to namespace %q: %w", e.Path, err))
		}
	}
	return errors.Join(all...)
}

// purgeNamespace deletes what belonged to a deleted namespace: its leases, its
// mounts, its tokens, and what the engines of all namespaces kept for it. Each step may be
// run again after a crash; the purge key goes last.
func (v *Vault) purgeNamespace(ctx context.Context, e *namespace.Entry) error {
	if err := v.removeMounts(ctx, e.ID); err != nil {
		return err
	}
	for more := true; more; {
		err := v.Commit(ctx, func(t *Tx) (err error) {
			more, err = v.Tokens.RevokeNamespace(ctx, t, e.ID)
			return err
		})
		if err != nil {
			return err
		}
	}
	for _, folder := range []string{e.Namespace().Folder(), password.Folder + e.ID + "/"} {
		if err := v.Mounts.PurgeFolder(ctx, folder); err != nil {
			return err
		}
	}
	if err := v.Mounts.PurgeFolder(ctx, identity.Folder(e.ID)); err != nil {
		return err
	}
	_, err := v.Store.Apply(ctx, store.Delete(namespace.PurgePrefix+e.ID))
	if err == nil {
		v.cfg.Log.Info("namespace is deleted", "namespace", e.Path)
	}
	return err
}

func (v *Vault) removeMounts(ctx context.Context, id string) error {
	own := v.Mounts.Table().Own(id)
	if len(own) == 0 {
		return nil
	}
	for _, m := range own {
		if err := v.Leases.EndMount(ctx, m.ID); err != nil {
			return err
		}
		if err := v.Commit(ctx, func(t *Tx) error { return v.Mounts.Remove(ctx, t, m) }); err != nil {
			return err
		}
	}
	v.reload.Lock()
	defer v.reload.Unlock()
	return v.Mounts.Reload(ctx)
}
