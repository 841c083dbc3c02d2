package gate

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/unsealed"
)

// stillMounted makes the commit of t fail if the mount was removed since the
// request found it: what it writes then would be left where no purge comes by.
// After the conflict the request is refused.
func (c *call) stillMounted(ctx context.Context, t *unsealed.Tx) error {
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
func (c *call) committed(ctx context.Context, t *unsealed.Tx, revision store.Revision) error {
	if c.leased != nil {
		c.vault.Leases.Made(c.leased)
		c.vault.Quotas.Made(c.vault.LeaseTarget(c.leased))
	}
	c.vault.Publish(t, c.mount, c.ns, revision, c.req.Time)
	if c.mount.Class != mount.System {
		return nil
	}
	return c.vault.TakeUp(ctx, t)
}
