package gate

import (
	"context"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit/devices"
	"github.com/strongkeep/strongkeep/internal/vault/audit/headers"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/quota"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

// stillMounted makes the commit of t fail if the mount was removed since the
// request found it: what it writes then would be left where no purge comes by.
// After the conflict the request is refused.
func (c *call) stillMounted(ctx context.Context, t *tx) error {
	if err := c.stillThere(ctx, t); err != nil || c.mount.Class == mount.System {
		return err
	}
	entry, err := t.Get(ctx, mount.EntryPrefix+c.mount.ID)
	if err == nil && !entry.Exists() {
		err = c.noRoute()
	}
	return err
}

// committed brings memory in step with what a request just committed, before
// it is answered: whoever mounts an engine can use it at once.
func (c *call) committed(ctx context.Context, t *tx, revision store.Revision) error {
	if c.leased != nil {
		c.vault.leases.Made(c.leased)
		c.vault.quotas.Made(c.vault.leaseTarget(c.leased))
	}
	for _, e := range t.events {
		c.vault.events.Publish(c.event(e, uint64(revision)))
	}
	if c.mount.Class != mount.System {
		return nil
	}
	var namespaces, mounts, auditing, audited, quotas, settings bool
	for _, change := range t.Changes() {
		namespaces = namespaces || strings.HasPrefix(change.Key, namespace.EntryPrefix)
		mounts = mounts || strings.HasPrefix(change.Key, mount.EntryPrefix)
		auditing = auditing || strings.HasPrefix(change.Key, devices.Prefix)
		quotas = quotas || strings.HasPrefix(change.Key, quota.Prefix)
		settings = settings || strings.HasPrefix(change.Key, SettingsPrefix)
		audited = audited || change.Key == headers.Key
	}
	if !namespaces && !mounts && !auditing && !audited && !quotas && !settings {
		return nil
	}
	v := c.vault
	v.reload.Lock()
	defer v.reload.Unlock()
	if namespaces {
		if err := v.namespaces.Reload(ctx); err != nil {
			return errs.Newf(errs.KindOf(err), "the change is stored, but loading it: %w", err)
		}
	}
	if mounts {
		if err := v.mounts.Reload(ctx); err != nil {
			return errs.Newf(errs.KindOf(err), "the change is stored, but loading it: %w", err)
		}
		v.syncWork()
		v.wakeIdentity()
	}
	if namespaces || mounts {
		v.askPurge()
	}
	if quotas {
		if err := v.quotas.Load(ctx, v.store); err != nil {
			return errs.Newf(errs.KindOf(err), "the change is stored, but loading it: %w", err)
		}
	}
	if settings && c.gate.cfg.Settings != nil {
		if err := c.gate.cfg.Settings(ctx, v.store); err != nil {
			return errs.Newf(errs.KindOf(err), "the change is stored, but loading it: %w", err)
		}
	}
	return v.reloadAuditing(ctx, t, auditing, audited)
}

// tokenGone lets every engine that keeps something per token drop it.
// Engines do it in one go: what they keep per token is bounded (cubbyhole).
func (v *vault) tokenGone(ctx context.Context, tx token.Tx, tokenKey string) (more bool, err error) {
	for _, m := range v.mounts.Table().TokenWatchers() {
		w, ok := m.Engine.(engine.TokenWatcher)
		if !ok {
			continue
		}
		if err := w.TokenGone(ctx, mount.Confine(silentTx{tx}, m.Storage()), tokenKey); err != nil {
			return false, err
		}
	}
	return false, v.leases.TokenGone(ctx, tx, tokenKey)
}

// silentTx is a transaction of background work, which announces nothing.
type silentTx struct{ token.Tx }

func (silentTx) Emit(engine.Event) {}
