package unsealed

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/quota"
)

func (v *Vault) newQuotas() *quota.Book {
	return quota.NewBook(quota.Config{
		Now:   v.cfg.Now,
		Go:    func(f func(context.Context)) { v.work.Go(func() { f(v.lifetime) }) },
		Count: v.countLeases,
	})
}

// countLeases counts those that fit, of the mounts that are covered.
func (v *Vault) countLeases(ctx context.Context, covers func(ns, mount string) bool, fits func(*quota.Target) bool) (n, looked int, err error) {
	for _, m := range v.Mounts.Table().All() {
		if _, ok := m.Engine.(engine.Leaser); !ok {
			continue
		}
		ns, _ := v.Namespaces.Table().ByID(m.Namespace)
		if !covers(ns.Path, m.Path) {
			continue
		}
		err := v.Leases.EachOf(ctx, v.Store, m.ID, func(l *lease.Record) {
			looked++
			if fits(v.LeaseTarget(l)) {
				n++
			}
		})
		if err != nil {
			return 0, 0, err
		}
	}
	return n, looked, nil
}

// LeaseTarget is a lease as quotas see it.
func (v *Vault) LeaseTarget(l *lease.Record) *quota.Target {
	t := &quota.Target{Path: l.Path, Role: l.Role}
	if ns, ok := v.Namespaces.Table().ByID(l.Namespace); ok {
		t.Namespace = ns.Path
	}
	if m := v.Mounts.Table().ByID(l.MountID); m != nil {
		t.Mount, t.Path = m.Path, m.Path+l.Path
	}
	return t
}

// countAnew has the quotas on leases of a mount counted again soon if key, which a node has written, is one
// of its leases: whatever node made or ended it.
func (v *Vault) countAnew(key string) {
	id, ok := lease.MountOf(key)
	if !ok {
		return
	}
	if m := v.Mounts.Table().ByID(id); m != nil {
		ns, _ := v.Namespaces.Table().ByID(m.Namespace)
		v.Quotas.Changed(ns.Path, m.Path)
	}
}
