package gate

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/quota"
)

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
	if !c.vault.Quotas.Limits() {
		return false, nil
	}
	c.req.Rate, err = c.vault.Quotas.Admit(c.target(), c.req.Remote.Addr(), c.gate.cfg.Now())
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
