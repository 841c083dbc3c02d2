package gate

import (
	"context"
	"errors"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit/devices"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

// stillMounted makes the commit of t fail if the mount was removed since the
// request found it: what it writes then would be left where no purge comes by.
// After the conflict the request is refused.
func (c *call) stillMounted(ctx context.Context, t *tx) error {
	if c.mount.Class == mount.System {
		return nil
	}
	entry, err := t.Get(ctx, mount.EntryPrefix+c.mount.ID)
	if err == nil && !entry.Exists() {
		err = errs.Newf(errs.NotExist, "no handler for route %q. route entry not found.", c.req.Path)
	}
	return err
}

// committed brings memory in step with what a request just committed, before
// it is answered: whoever mounts an engine can use it at once.
func (c *call) committed(ctx context.Context, t *tx, revision store.Revision) error {
	if c.leased != nil {
		c.vault.leases.Made(c.leased)
	}
	for _, e := range t.events {
		c.vault.events.Publish(c.event(e, uint64(revision)))
	}
	if c.mount.Class != mount.System {
		return nil
	}
	var mounts, auditing bool
	for _, change := range t.Changes() {
		mounts = mounts || strings.HasPrefix(change.Key, mount.EntryPrefix)
		auditing = auditing || strings.HasPrefix(change.Key, devices.Prefix)
	}
	if !mounts && !auditing {
		return nil
	}
	v := c.vault
	v.reload.Lock()
	defer v.reload.Unlock()
	if mounts {
		if err := v.mounts.Reload(ctx); err != nil {
			return errs.Newf(errs.KindOf(err), "the change is stored, but loading it: %w", err)
		}
		v.syncWork()
		v.work.Go(func() { v.purge(v.lifetime, c.gate) })
	}
	if auditing {
		if err := v.syncDevices(ctx); err != nil {
			return errs.Newf(errs.KindOf(err), "loading the audit devices: %w", errors.Join(err, v.takeBack(ctx, t)))
		}
	}
	return nil
}

// takeBack removes the audit devices that t added and that could not be enabled:
// with one of them the vault could not be unsealed again.
func (v *vault) takeBack(ctx context.Context, t *tx) error {
	var undo []store.Change
	for _, c := range t.Changes() {
		if c.Op == store.OpPut && strings.HasPrefix(c.Key, devices.Prefix) {
			undo = append(undo, store.Delete(c.Key))
		}
	}
	_, err := v.store.Apply(ctx, undo...)
	return err
}

// syncDevices enables and disables audit devices so that those stored are
// those that are on. The caller holds v.reload, or is alone.
func (v *vault) syncDevices(ctx context.Context) error {
	all, err := devices.All(ctx, v.store)
	if err != nil {
		return err
	}
	for path, key := range v.devices {
		if d, kept := all[path]; kept && d.Key.Equal(key) {
			continue // one that was enabled anew has another key
		}
		if err := v.audit.Disable(path); err != nil {
			return err
		}
		delete(v.devices, path)
	}
	for path, d := range all {
		if _, on := v.devices[path]; on {
			continue
		}
		if err := v.audit.Restore(d.Spec); err != nil {
			return errs.Newf(errs.KindOf(err), "audit device %q: %w", path, err)
		}
		v.devices[path] = d.Key
	}
	return nil
}

// tokenGone lets every engine that keeps something per token drop it.
// Engines do it in one go: what they keep per token is bounded (cubbyhole).
func (v *vault) tokenGone(ctx context.Context, tx token.Tx, tokenKey string) (more bool, err error) {
	for _, m := range v.mounts.Table().All() {
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
