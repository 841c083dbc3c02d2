package unsealed

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit/devices"
	"github.com/strongkeep/strongkeep/internal/vault/audit/headers"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// startAuditing enables the stored audit devices and loads which headers they
// are told of. Devices that the operator named to be left out stay stored and
// off, so that somebody can disable them; best-effort ones whose options no
// longer fit stay off too. A required one that does not fit keeps the vault sealed.
func (v *Vault) startAuditing(ctx context.Context) error {
	all, err := devices.All(ctx, v.Store)
	if err != nil {
		return err
	}
	for path, d := range all {
		if slices.ContainsFunc(v.cfg.SkipAudit, func(name string) bool { return strings.Trim(name, "/")+"/" == path }) {
			v.skipped[path] = d.Key
			v.cfg.Log.Error("audit device is left out as the server was told: requests are NOT written to it; disable it with \"strongkeep audit disable\", then start the server without the flag", "device", path)
		} else if err := v.Audit.Restore(d.Spec); err == nil {
			v.devices[path] = d.Key
		} else if d.BestEffort() {
			v.skipped[path] = d.Key
			v.cfg.Log.Error("a best-effort audit device cannot be enabled and is left out", "device", path, "error", err)
		} else {
			name := strings.Trim(path, "/")
			return errs.Newf(errs.KindOf(err), "audit device %q: %w; to disable it, start the server once with -skip-audit-devices=%s", path, err, name)
		}
	}
	return v.loadHeaders(ctx)
}

// syncDevices enables and disables audit devices so that those stored are
// those that are on. The caller holds v.reload, or is alone.
func (v *Vault) syncDevices(ctx context.Context) error {
	all, err := devices.All(ctx, v.Store)
	if err != nil {
		return err
	}
	for path, key := range v.devices {
		if d, kept := all[path]; kept && d.Key.Equal(key) {
			continue // one that was enabled anew has another key
		}
		if err := v.Audit.Disable(path); err != nil {
			return err
		}
		delete(v.devices, path)
	}
	for path, d := range all {
		if _, on := v.devices[path]; on {
			continue
		}
		if key, skipped := v.skipped[path]; skipped && d.Key.Equal(key) {
			continue
		}
		if err := v.Audit.Restore(d.Spec); err != nil {
			return errs.Newf(errs.KindOf(err), "audit device %q: %w", path, err)
		}
		v.devices[path] = d.Key
	}
	return nil
}

// loadHeaders takes up which request headers are audited.
func (v *Vault) loadHeaders(ctx context.Context) error {
	t, err := headers.Load(ctx, v.Store)
	if err != nil {
		return err
	}
	v.headers.Store(new(t.Select()))
	return nil
}

// reloadAuditing brings devices and headers in step with what t committed. The
// caller holds v.reload.
func (v *Vault) reloadAuditing(ctx context.Context, t *Tx, devices, headers bool) error {
	if devices {
		if err := v.syncDevices(ctx); err != nil {
			return errs.Newf(errs.KindOf(err), "loading the audit devices: %w", errors.Join(err, v.takeBack(ctx, t)))
		}
	}
	if headers {
		return v.loadHeaders(ctx)
	}
	return nil
}

// takeBack removes the audit devices that t added and that could not be enabled:
// with one of them the vault could not be unsealed again.
func (v *Vault) takeBack(ctx context.Context, t *Tx) error {
	var undo []store.Change
	for _, c := range t.Changes() {
		if c.Op == store.OpPut && strings.HasPrefix(c.Key, devices.Prefix) {
			undo = append(undo, store.Delete(c.Key))
		}
	}
	_, err := v.Store.Apply(ctx, undo...)
	return err
}

// Headers are the request headers that audit devices are told of.
func (v *Vault) Headers() *headers.Selection { return v.headers.Load() }
