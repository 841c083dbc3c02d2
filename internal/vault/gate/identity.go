package gate

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/identity"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/unsealed"
)

// enrol finds or makes the entity of a login; nil if there is none.
func (c *call) enrol(ctx context.Context, t *unsealed.Tx, auth *engine.Auth) (*identity.Session, error) {
	if auth.Alias == "" {
		return nil, nil
	}
	return c.vault.Identity.Login(ctx, t, namespace.Key(c.ns), identity.Login{
		Accessor: c.mount.Accessor, Name: auth.Alias, Metadata: auth.AliasMeta, Groups: auth.Groups,
		Ephemeral: auth.Ephemeral, Origin: auth.Origin, KnownOnly: auth.KnownOnly,
	})
}

// sameEntity makes the commit of t depend on the entity of the token: whoever
// disabled it, and was told so, need not fear a write that was under way.
func (c *call) sameEntity(ctx context.Context, t *unsealed.Tx) error {
	_, err := c.vault.Behind(ctx, t, c.token)
	return err
}

// entityID is that of the entity a request is made as: of one that was merged,
// the one it became.
func (c *call) entityID() string {
	if c.who != nil {
		return c.who.EntityID
	}
	return c.token.EntityID
}

// policies are those the request is made with, as far as they are known.
func (c *call) policies() []string {
	if c.subject.Names == nil {
		return c.token.Policies
	}
	return c.subject.Names
}

// readPolicies finds the entity behind the token and the ACL of both.
func (c *call) readPolicies(ctx context.Context) (err error) {
	if c.who, err = c.vault.Behind(ctx, c.vault.Store, c.token); err != nil {
		return err
	}
	c.subject = c.vault.SubjectWith(c.token, c.who)
	acl, _, err := c.vault.Policies.ACLFor(ctx, c.vault.Store, c.subject)
	if err != nil {
		return errs.Newf(errs.KindOf(err), "reading the token's policies: %w", err)
	}
	c.acl = acl
	return nil
}
