package unsealed

import (
	"cmp"
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/password"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// host is what the vault gives the engine of one mount to work with by itself.
func (v *Vault) host(e *mount.Entry) mount.Host {
	id, storage := e.ID, e.Storage()
	book := password.Book{Namespace: cmp.Or(e.Namespace, engine.RootNamespaceID)}
	return mount.Host{
		Update: func(ctx context.Context, change func(context.Context, engine.Tx) error) error {
			return v.update(ctx, v.Store, id, func(ctx context.Context, t *Tx) error {
				return change(ctx, mount.Confine(t, storage))
			})
		},
		Duty: func(ctx context.Context, change func(context.Context, engine.Tx) error) error {
			s, err := v.dutyStore()
			if err != nil {
				return err
			}
			return v.update(ctx, s, id, func(ctx context.Context, t *Tx) error {
				return change(ctx, mount.Confine(t, storage))
			})
		},
		Wake: func() { v.wake(id) },
		Password: func(ctx context.Context, name string) (redact.Secret, error) {
			if name == "" {
				return password.Default().Generate(v.cfg.Random)
			}
			// Read each time: a policy that was made stricter holds at once.
			p, _, err := book.Get(ctx, v.Store, name)
			if errs.Is(err, errs.NotExist) {
				return redact.Secret{}, errs.As(errs.Invalid, err)
			}
			if err != nil {
				return redact.Secret{}, err
			}
			return p.Generate(v.cfg.Random)
		},
	}
}

// update is a transaction outside of any request: it conflicts with the removal
// of its mount, is run again after other conflicts, and publishes its events. It is committed
// through s: the store, or that of who does the background work.
func (v *Vault) update(ctx context.Context, s store.Store, mountID string, change func(context.Context, *Tx) error) error {
	for range MaxRuns {
		t := v.beginIn(s)
		entry, err := t.Get(ctx, mount.EntryPrefix+mountID)
		if err != nil {
			return err
		}
		m := v.Mounts.Table().ByID(mountID)
		if !entry.Exists() || m == nil {
			return errs.New(errs.NotExist, "the mount was removed")
		}
		if err := change(ctx, t); err != nil {
			return err
		}
		if t.Writes() == 0 {
			return nil
		}
		ns, _ := v.Namespaces.Table().ByID(m.Namespace)
		now := v.cfg.Now().UTC()
		if err := v.Announce(t, m, ns, now); err != nil {
			return err
		}
		revision, err := t.Commit(context.WithoutCancel(ctx))
		if errs.Is(err, errs.Conflict) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return errs.Newf(errs.KindOf(err), "committing work of %q: %w", m.Path, err)
		}
		v.Publish(t, m, ns, revision, now)
		return nil
	}
	return errs.New(errs.Unavailable, "too many others change the same entries; try again")
}
