package gate

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/identity"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

// identityMount is where the identity store is mounted. A vault from before it
// existed gets it when it is unsealed.
var identityMount = mount.Entry{Class: mount.System, Path: "identity/", Type: "identity", Description: "identity store"}

// errEntity is for a token whose entity is disabled, or is no more.
var errEntity = errs.New(errs.Denied, "permission denied")

// behind returns the entity of a token, nil if the token has none. Kind Denied:
// it is disabled or was deleted.
func (v *vault) behind(ctx context.Context, r identity.Reader, e *token.Entry) (*identity.Subject, error) {
	if e.EntityID == "" {
		return nil, nil
	}
	who, err := v.identities.Subject(ctx, r, e.Namespace, e.EntityID)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "reading the token's entity: %w", err)
	}
	if who == nil || who.Disabled {
		return nil, errEntity
	}
	return who, nil
}

// subject is whom the policies of a token are asked for: its own and those of
// the entity behind it, nil if it has none.
func (v *vault) subject(e *token.Entry, who *identity.Subject) policy.Subject {
	s := v.alone(e)
	if who != nil && s.Names != nil {
		s.Names, s.Identity = who.With(s.Names), who.Identity
	}
	return s
}

// subjectOf finds the entity and returns subject. Kinds as of behind.
func (v *vault) subjectOf(ctx context.Context, tx engine.Tx, e *token.Entry) (policy.Subject, error) {
	who, err := v.behind(ctx, tx, e)
	if err != nil {
		return policy.Subject{}, err
	}
	return v.subject(e, who), nil
}

// callerOf is subjectOf for the caller of a request.
func (v *vault) callerOf(ctx context.Context, tx engine.Tx, req *engine.Request) (policy.Subject, error) {
	asks := &token.Entry{EntityID: req.Caller.EntityID, Policies: req.Caller.Policies}
	if !req.Caller.Namespace.Root() {
		asks.Namespace = req.Caller.Namespace.ID
	}
	return v.subjectOf(ctx, tx, asks)
}

// enrol finds or makes the entity of a login; nil if there is none.
func (c *call) enrol(ctx context.Context, t *tx, auth *engine.Auth) (*identity.Session, error) {
	if auth.Alias == "" {
		return nil, nil
	}
	return c.vault.identities.Login(ctx, t, nsID(c.ns), identity.Login{
		Accessor: c.mount.Accessor, Name: auth.Alias, Metadata: auth.AliasMeta, Groups: auth.Groups,
		Ephemeral: auth.Ephemeral, Origin: auth.Origin, KnownOnly: auth.KnownOnly,
	})
}

// entityOfAlias finds or makes the entity of a token that is created with an
// entity_alias, and returns its ID.
func (v *vault) entityOfAlias(ctx context.Context, tx engine.Tx, req *engine.Request, name string, made func(entityID string) (*token.Entry, error)) error {
	m := v.mounts.Table().ByPath(namespace.Root, mount.AuthPrefix+"token/")
	if m == nil {
		return errNoToken
	}
	session, err := v.identities.Login(ctx, tx, nsID(req.Namespace), identity.Login{Accessor: m.Accessor, Name: name})
	if err != nil {
		return err
	}
	e, err := made(session.EntityID)
	if err != nil {
		return err
	}
	return session.Finish(ctx, e.Expires)
}

// renewed notes that a token of an entity is renewed, and which external groups
// its method now says it is in; nil = it says nothing.
func (v *vault) renewed(ctx context.Context, tx engine.Tx, e *token.Entry, limits token.Limits, groups []string) error {
	if e.EntityID == "" {
		return nil
	}
	accessor := ""
	if m := v.mounts.Table().ByID(e.MountID); m != nil {
		accessor = m.Accessor
	}
	session, err := v.identities.Renewal(ctx, tx, e.Namespace, identity.Renewed{EntityID: e.EntityID, Accessor: accessor, Groups: groups})
	if err != nil {
		return err
	}
	if session == nil {
		return errEntity
	}
	return session.Finish(ctx, v.identities.Now().Add(max(limits.Period, limits.Max)))
}

// knowsIdentity reports whether the vault was put together with an identity store.
func (v *vault) knowsIdentity() bool {
	_, err := v.mounts.Factory(identityMount.Class, identityMount.Type)
	return err == nil
}

// mountIdentity mounts the identity store in a vault that has none.
func (v *vault) mountIdentity(ctx context.Context, g *Gate) error {
	if v.mounts.Table().ByPath(namespace.Root, identityMount.Path) != nil || !v.knowsIdentity() {
		return nil
	}
	for range maxRuns {
		t := begin(v.store)
		e := identityMount
		err := v.mounts.Add(ctx, t, &e)
		if errs.Is(err, errs.Exist) {
			g.cfg.Log.Warn("the identity store has no place, since something else is mounted there: move it with sys/remount", "path", identityMount.Path)
			return nil
		}
		if err == nil {
			_, err = t.Commit(ctx)
		}
		if errs.Is(err, errs.Conflict) {
			continue // another node does the same
		}
		if err != nil {
			return errs.Newf(errs.KindOf(err), "mounting the identity store: %w", err)
		}
		break
	}
	return v.mounts.Reload(ctx)
}

// wakeIdentity has what removed auth mounts left among the identities swept up.
func (v *vault) wakeIdentity() {
	if m := v.mounts.Table().ByPath(namespace.Root, identityMount.Path); m != nil {
		v.workers.Wake(m.ID)
	}
}

// identityPolicies are those that the entity of a token adds to it.
func (v *vault) identityPolicies(ctx context.Context, tx engine.Tx, e *token.Entry) ([]string, error) {
	who, err := v.behind(ctx, tx, e)
	if err != nil || who == nil || e.Root() {
		return nil, err
	}
	return who.Policies, nil
}

// sameEntity makes the commit of t depend on the entity of the token: whoever
// disabled it, and was told so, need not fear a write that was under way.
func (c *call) sameEntity(ctx context.Context, t *tx) error {
	_, err := c.vault.behind(ctx, t, c.token)
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
	if c.who, err = c.vault.behind(ctx, c.vault.store, c.token); err != nil {
		return err
	}
	c.subject = c.vault.subject(c.token, c.who)
	acl, _, err := c.vault.policies.ACLFor(ctx, c.vault.store, c.subject)
	if err != nil {
		return errs.Newf(errs.KindOf(err), "reading the token's policies: %w", err)
	}
	c.acl = acl
	return nil
}
