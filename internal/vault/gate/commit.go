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
	changed := touchedBy(t)
	if changed == (touched{}) {
		return nil
	}
	v := c.vault
	v.reload.Lock()
	defer v.reload.Unlock()
	if err := v.load(ctx, c.gate, changed); err != nil {
		return errs.Newf(errs.KindOf(err), "the change is stored, but loading it: %w", err)
	}
	return v.reloadAuditing(ctx, t, changed.devices, changed.headers)
}

// touched says which parts of the state that is kept in memory a commit changed.
type touched struct{ namespaces, mounts, quotas, settings, devices, headers bool }

func touchedBy(t *tx) (all touched) {
	for _, change := range t.Changes() {
		for prefix, part := range map[string]*bool{
			namespace.EntryPrefix: &all.namespaces, mount.EntryPrefix: &all.mounts, quota.Prefix: &all.quotas,
			SettingsPrefix: &all.settings, devices.Prefix: &all.devices,
		} {
			*part = *part || strings.HasPrefix(change.Key, prefix)
		}
		all.headers = all.headers || change.Key == headers.Key
	}
	return all
}

// load brings memory in step with the store, but for the audit devices. The
// caller holds v.reload.
func (v *vault) load(ctx context.Context, g *Gate, changed touched) error {
	if changed.namespaces {
		if err := v.namespaces.Reload(ctx); err != nil {
			return err
		}
	}
	if changed.mounts {
		if err := v.mounts.Reload(ctx); err != nil {
			return err
		}
		v.syncWork()
		v.wakeIdentity()
	}
	if changed.namespaces || changed.mounts {
		v.askPurge()
	}
	if changed.quotas {
		if err := v.quotas.Load(ctx, v.store); err != nil {
			return err
		}
	}
	if changed.settings && g.cfg.Settings != nil {
		return g.cfg.Settings(ctx, v.store)
	}
	return nil
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
