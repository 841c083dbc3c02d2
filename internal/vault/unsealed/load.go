package unsealed

import (
	"context"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit/devices"
	"github.com/strongkeep/strongkeep/internal/vault/audit/headers"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/quota"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// TakeUp brings memory in step with what t just committed to a system mount,
// before the request is answered: whoever mounts an engine can use it at once.
func (v *Vault) TakeUp(ctx context.Context, t *Tx) error {
	changed := touchedBy(t.Changes())
	if changed == (touched{}) {
		return nil
	}
	v.reload.Lock()
	defer v.reload.Unlock()
	if err := v.load(ctx, changed); err != nil {
		return errs.Newf(errs.KindOf(err), "the change is stored, but loading it: %w", err)
	}
	return v.reloadAuditing(ctx, t, changed.devices, changed.headers)
}

// touched says which parts of the state that is kept in memory a commit changed.
type touched struct{ namespaces, mounts, quotas, settings, devices, headers, held bool }

func touchedBy(changes []store.Change) (all touched) {
	for _, change := range changes {
		for prefix, part := range map[string]*bool{
			namespace.EntryPrefix: &all.namespaces, mount.EntryPrefix: &all.mounts, quota.Prefix: &all.quotas,
			SettingsPrefix: &all.settings, devices.Prefix: &all.devices,
		} {
			*part = *part || strings.HasPrefix(change.Key, prefix)
		}
		all.headers = all.headers || change.Key == headers.Key
		all.held = all.held || change.Key == lease.HeldKey
	}
	return all
}

// load brings memory in step with the store, but for the audit devices. The
// caller holds v.reload.
func (v *Vault) load(ctx context.Context, changed touched) error {
	if changed.namespaces {
		if err := v.Namespaces.Reload(ctx); err != nil {
			return err
		}
	}
	if changed.mounts {
		if err := v.Mounts.Reload(ctx); err != nil {
			return err
		}
		v.syncWork()
		v.wakeIdentity()
	}
	if changed.namespaces || changed.mounts {
		v.purger.Ask()
	}
	if changed.quotas {
		if err := v.Quotas.Load(ctx, v.Store); err != nil {
			return err
		}
	}
	if changed.settings && v.cfg.Settings != nil {
		return v.cfg.Settings(ctx, v.Store)
	}
	return nil
}
