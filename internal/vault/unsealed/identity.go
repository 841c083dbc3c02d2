package unsealed

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

// Behind returns the entity of a token, nil if the token has none. Kind Denied:
// it is disabled or was deleted.
func (v *Vault) Behind(ctx context.Context, r identity.Reader, e *token.Entry) (*identity.Subject, error) {
	if e.EntityID == "" {
		return nil, nil
	}
	who, err := v.Identity.Subject(ctx, r, e.Namespace, e.EntityID)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "reading the token's entity: %w", err)
	}
	if who == nil || who.Disabled {
		return nil, errEntity
	}
	return who, nil
}

// SubjectWith is whom the policies of a token are asked for: its own and those of
// who, the entity behind it, nil if it has none.
func (v *Vault) SubjectWith(e *token.Entry, who *identity.Subject) policy.Subject {
	s := v.alone(e)
	if who != nil && s.Names != nil {
		s.Names, s.Identity = who.With(s.Names), who.Identity
	}
	return s
}

// Subject finds the entity behind a token and returns SubjectWith. Kinds as of Behind.
func (v *Vault) Subject(ctx context.Context, tx engine.Tx, e *token.Entry) (policy.Subject, error) {
	who, err := v.Behind(ctx, tx, e)
	if err != nil {
		return policy.Subject{}, err
	}
	return v.SubjectWith(e, who), nil
}

// Caller is Subject for the caller of a request that asks about itself.
func (v *Vault) Caller(ctx context.Context, tx engine.Tx, req *engine.Request) (policy.Subject, error) {
	return v.Subject(ctx, tx, &token.Entry{
		Namespace: namespace.Key(req.Caller.Namespace), Policies: req.Caller.Policies, EntityID: req.Caller.EntityID,
	})
}

// EntityOfAlias finds or makes the entity with an alias of the token method, and
// has made make a token of it.
func (v *Vault) EntityOfAlias(ctx context.Context, tx engine.Tx, req *engine.Request, name string, made func(entityID string) (*token.Entry, error)) error {
	m := v.Mounts.Table().ByPath(namespace.Root, mount.AuthPrefix+"token/")
	if m == nil {
		return errNoToken
	}
	session, err := v.Identity.Login(ctx, tx, namespace.Key(req.Namespace), identity.Login{Accessor: m.Accessor, Name: name})
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
func (v *Vault) renewed(ctx context.Context, tx engine.Tx, e *token.Entry, limits token.Limits, groups []string) error {
	if e.EntityID == "" {
		return nil
	}
	accessor := ""
	if m := v.Mounts.Table().ByID(e.MountID); m != nil {
		accessor = m.Accessor
	}
	session, err := v.Identity.Renewal(ctx, tx, e.Namespace, identity.Renewed{EntityID: e.EntityID, Accessor: accessor, Groups: groups})
	if err != nil {
		return err
	}
	if session == nil {
		return errEntity
	}
	return session.Finish(ctx, v.Identity.Now().Add(max(limits.Period, limits.Max)))
}

// knowsIdentity reports whether the vault was put together with an identity store.
func (v *Vault) knowsIdentity() bool {
	_, err := v.Mounts.Factory(identityMount.Class, identityMount.Type)
	return err == nil
}

// mountIdentity mounts the identity store in a vault that has none.
func (v *Vault) mountIdentity(ctx context.Context) error {
	if v.Mounts.Table().ByPath(namespace.Root, identityMount.Path) != nil || !v.knowsIdentity() {
		return nil
	}
	for range MaxRuns {
		t := v.Begin()
		e := identityMount
		err := v.Mounts.Add(ctx, t, &e)
		if errs.Is(err, errs.Exist) {
			v.cfg.Log.Warn("the identity store has no place, since something else is mounted there: move it with sys/remount", "path", identityMount.Path)
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
	return v.Mounts.Reload(ctx)
}

// wakeIdentity has what removed auth mounts left among the identities swept up.
func (v *Vault) wakeIdentity() {
	if m := v.Mounts.Table().ByPath(namespace.Root, identityMount.Path); m != nil {
		v.wake(m.ID)
	}
}

// IdentityPolicies are those that the entity of a token adds to it. Kinds as of Behind.
func (v *Vault) IdentityPolicies(ctx context.Context, tx engine.Tx, e *token.Entry) ([]string, error) {
	who, err := v.Behind(ctx, tx, e)
	if err != nil || who == nil || e.Root() {
		return nil, err
	}
	return who.Policies, nil
}
