package gate

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

// lease makes the lease of a secret in the request's own transaction.
func (c *call) lease(ctx context.Context, t *tx, res *engine.Response) error {
	c.leased = nil
	if res == nil || res.Lease == nil || !res.Lease.Tracked || res.Lease.ID != "" {
		return nil
	}
	leaser, ok := c.mount.Engine.(engine.Leaser)
	switch {
	case !ok:
		return errs.Newf(errs.Internal, "the engine at %q gave a lease, which it cannot end", c.mount.Path)
	case c.token == nil:
		return errs.Newf(errs.Internal, "the engine at %q gave a lease to a caller without a token", c.mount.Path)
	case c.route.ReadsOnly(c.op):
		return errs.Newf(errs.Internal, "the engine at %q gave a lease on a route that is read only", c.mount.Path)
	case c.lastUse:
		// As Vault, which makes and revokes it: nothing is made here.
		return errs.New(errs.Invalid, "Secret cannot be returned; token had one use left, so leased credentials were immediately revoked.")
	}
	asked := c.target()
	asked.Role = res.Lease.Role
	if err := c.vault.quotas.Lease(ctx, asked); err != nil {
		return err
	}
	holder, err := c.holder(ctx, t)
	if err != nil {
		return err
	}
	made, warnings, err := c.vault.leases.Issue(t, lease.Ask{
		Owner: c.gate.leaseOwner(c.mount, leaser), Namespace: c.request.Namespace, Path: c.request.Path, Holder: holder,
	}, res.Lease)
	if err != nil {
		return errs.Newf(errs.KindOf(err), "making the lease: %w", err)
	}
	c.leased = made
	res.Warnings = append(res.Warnings, warnings...)
	return nil
}

// holder is the caller as the lease remembers it. A batch token leaves no trace
// when it ends: what it asks for ends with its parent, and when it does.
func (c *call) holder(ctx context.Context, t *tx) (lease.Holder, error) {
	e := c.token
	h := lease.Holder{TokenKey: e.Key, Accessor: e.Accessor, EntityID: e.EntityID, DisplayName: e.DisplayName}
	if e.Type != token.Batch {
		return h, nil // stillValid guards it
	}
	h.TokenKey, h.Until = e.Parent, e.Expires
	if e.Parent == "" {
		return h, nil
	}
	_, err := c.vault.tokens.Get(ctx, t, e.Parent)
	return h, err
}

// after does what no rollback can undo, once the request is on record and what
// it stored is durable. A client that goes away does not stop it half-way. A
// lease whose secret it could not make is ended.
func (c *call) after(ctx context.Context, res *engine.Response) error {
	ctx = context.WithoutCancel(ctx)
	var err error
	if res.After != nil {
		err = safeAfter(ctx, res)
	}
	switch {
	case c.leased == nil:
	case err != nil:
		return c.vault.leases.Fail(ctx, c.leased, err)
	case res.After != nil:
		return c.vault.leases.Confirm(ctx, c.leased)
	}
	return err
}

// safeAfter makes an error of a panic: the lease must be ended all the same.
func safeAfter(ctx context.Context, res *engine.Response) (err error) {
	var none *engine.Response
	defer survive(&none, &err)
	return res.After(ctx)
}

// leaseOwner is a mount as its leases know it. Where neither role nor mount says
// how long one lives, it is not as long as all else.
func (g *Gate) leaseOwner(m *mount.Mount, leaser engine.Leaser) lease.Owner {
	o := lease.Owner{ID: m.ID, Path: m.Path, Storage: m.Storage(), TTLs: m.TTLs, Leaser: leaser}
	if g.cfg.LeaseTTL > 0 && m.Config.DefaultTTL == 0 {
		o.TTLs.Default = min(g.cfg.LeaseTTL, o.TTLs.Max)
	}
	return o
}

// tokenAlive reports whether the token with this key is valid.
func (v *vault) tokenAlive(ctx context.Context, r lease.Reader, key string) (bool, error) {
	_, err := v.tokens.Get(ctx, r, key)
	if errs.Is(err, errs.Unauthenticated) {
		return false, nil
	}
	return err == nil, err
}

// Leases tells what was done with leases since the unseal; false: the vault is sealed.
func (g *Gate) Leases() (lease.Stats, bool) {
	v, err := g.enter()
	if err != nil {
		return lease.Stats{}, false
	}
	defer v.leave()
	s := v.leases.Stats()
	for _, m := range v.mounts.Table().All() {
		if _, ok := m.Engine.(engine.Leaser); ok {
			n, err := v.leases.CountIrrevocable(v.lifetime, v.store, m.ID)
			if err != nil {
				return s, false
			}
			s.Irrevocable += n
		}
	}
	return s, true
}

func (v *vault) newLeases(g *Gate) *lease.Manager {
	return lease.NewManager(lease.ManagerConfig{
		Store: v.store, Alive: v.tokenAlive,
		Owner: func(id string) (lease.Owner, bool) {
			m := v.mounts.Table().ByID(id)
			if m == nil {
				return lease.Owner{}, false
			}
			leaser, ok := m.Engine.(engine.Leaser)
			return g.leaseOwner(m, leaser), ok
		},
		Hold: v.hold, Ended: func(l *lease.Record) { v.quotas.Ended(v.leaseTarget(l)) },
		Wake: func(kind string) {
			if v.expirer != nil { // there is none while a new vault is set up
				v.expirer.Wake(kind)
			}
		},
		Now: g.cfg.Now, Random: g.cfg.Random, Log: g.cfg.Log,
	})
}

// syncWork starts what runs for each mount: its Worker, and the end of its leases.
func (v *vault) syncWork() {
	table := v.mounts.Table()
	v.workers.Sync(v.lifetime, table.All())
	for _, m := range table.All() {
		if _, ok := m.Engine.(engine.Leaser); ok {
			v.expirer.Add(v.leases.Kind(m.ID))
		}
	}
}

// hold stops all that ends or works by itself, or lets it go on.
func (v *vault) hold(held bool) {
	v.expirer.Hold(held)
	v.workers.Hold(held)
	if !held {
		v.workers.Sync(v.lifetime, v.mounts.Table().All())
	}
}

// endWork stops it for one mount, and waits.
func (v *vault) endWork(m *mount.Mount) {
	v.workers.End(m.ID)
	if v.expirer != nil {
		v.expirer.Remove(v.leases.Kind(m.ID).Name)
	}
}

// dropLeases removes the leases that removed mounts left.
func (v *vault) dropLeases(ctx context.Context) error {
	ids, err := v.store.List(ctx, mount.PurgePrefix, "", 0)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := v.leases.Drop(ctx, id); err != nil {
			return err
		}
	}
	return nil
}
