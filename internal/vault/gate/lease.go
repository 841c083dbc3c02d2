package gate

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/token"
	"github.com/strongkeep/strongkeep/internal/vault/unsealed"
)

// lease makes the lease of a secret in the request's own transaction.
func (c *call) lease(ctx context.Context, t *unsealed.Tx, res *engine.Response) error {
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
	if err := c.vault.Quotas.Lease(ctx, asked); err != nil {
		return err
	}
	holder, err := c.holder(ctx, t)
	if err != nil {
		return err
	}
	made, warnings, err := c.vault.Leases.Issue(t, lease.Ask{
		Owner: c.vault.LeaseOwner(c.mount, leaser), Namespace: c.request.Namespace, Path: c.request.Path, Holder: holder,
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
func (c *call) holder(ctx context.Context, t *unsealed.Tx) (lease.Holder, error) {
	e := c.token
	h := lease.Holder{TokenKey: e.Key, Accessor: e.Accessor, EntityID: e.EntityID, DisplayName: e.DisplayName}
	if e.Type != token.Batch {
		return h, nil // stillValid guards it
	}
	h.TokenKey, h.Until = e.Parent, e.Expires
	if e.Parent == "" {
		return h, nil
	}
	_, err := c.vault.Tokens.Get(ctx, t, e.Parent)
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
		return c.vault.Leases.Fail(ctx, c.leased, err)
	case res.After != nil:
		return c.vault.Leases.Confirm(ctx, c.leased)
	}
	return err
}

// takeBack removes the tokens that were committed for an answer nobody will be
// given: of a login, and of its wrapping. If that fails they end with their TTLs.
// A batch token is kept nowhere: who was not given it cannot have it.
func (c *call) takeBack(ctx context.Context, res *engine.Response) {
	if w := res.Wrapped; w != nil {
		c.removeToken(ctx, c.vault.Tokens.TokenKey(w.Token.RevealString()), w.Accessor)
	}
	if e := c.issued; e != nil && e.Type != token.Batch {
		c.removeToken(ctx, e.Key, e.Accessor)
	}
}

// safeAfter makes an error of a panic: the lease must be ended all the same.
func safeAfter(ctx context.Context, res *engine.Response) (err error) {
	var none *engine.Response
	defer survive(&none, &err)
	return res.After(ctx)
}

// Leases tells what was done with leases since the unseal; false: the vault is sealed.
func (g *Gate) Leases() (lease.Stats, bool) {
	v, err := g.enter()
	if err != nil {
		return lease.Stats{}, false
	}
	defer v.Leave()
	return v.LeaseStats()
}
