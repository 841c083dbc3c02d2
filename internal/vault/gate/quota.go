package gate

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/quota"
)

func (v *vault) newQuotas(g *Gate) *quota.Book {
	return quota.NewBook(quota.Config{
		Now:   g.cfg.Now,
		Go:    func(f func(context.Context)) { v.work.Go(func() { f(v.lifetime) }) },
		Count: v.countLeases,
	})
}

// countLeases counts those that fit, of the mounts that are covered.
func (v *vault) countLeases(ctx context.Context, covers func(ns, mount string) bool, fits func(*quota.Target) bool) (n, looked int, err error) {
	for _, m := range v.mounts.Table().All() {
		if _, ok := m.Engine.(engine.Leaser); !ok {
			continue
		}
		ns, _ := v.namespaces.Table().ByID(m.Namespace)
		if !covers(ns.Path, m.Path) {
			continue
		}
		err := v.leases.EachOf(ctx, v.store, m.ID, func(l *lease.Record) {
			looked++
			if fits(v.leaseTarget(l)) {
				n++
			}
		})
		if err != nil {
			return 0, 0, err
		}
	}
	return n, looked, nil
}

// leaseTarget is a lease as quotas see it.
func (v *vault) leaseTarget(l *lease.Record) *quota.Target {
	t := &quota.Target{Path: l.Path, Role: l.Role}
	if ns, ok := v.namespaces.Table().ByID(l.Namespace); ok {
		t.Namespace = ns.Path
	}
	if m := v.mounts.Table().ByID(l.MountID); m != nil {
		t.Mount, t.Path = m.Path, m.Path+l.Path
	}
	return t
}

// target is the request as quotas see it.
func (c *call) target() *quota.Target {
	t := &quota.Target{Namespace: c.ns.Path, Path: c.rel}
	if c.mount == nil {
		return t
	}
	t.Mount = c.mount.Path
	if c.mount.Class == mount.Auth {
		d := c.request.Decode()
		t.Role = d.String("role", "")
	}
	return t
}

// admit asks the rate limits, before anything is looked up for the request.
// logged: the refusal is to be audited.
func (c *call) admit() (logged bool, err error) {
	if !c.vault.quotas.Limits() {
		return false, nil
	}
	c.req.Rate, err = c.vault.quotas.Admit(c.target(), c.req.Remote.Addr(), c.gate.cfg.Now())
	return c.req.Rate.Audit, err
}

// refuse answers a request that is over a rate limit.
func (c *call) refuse(ctx context.Context, err error) error {
	asked := c.auditRequest(err)
	if auditErr := c.auditResponse(nil, err, asked).Wait(ctx); auditErr != nil {
		return auditErr
	}
	return err
}
