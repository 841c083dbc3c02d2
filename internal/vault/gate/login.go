package gate

import (
	"context"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/token"
	"github.com/strongkeep/strongkeep/internal/vault/token/grant"
	"github.com/strongkeep/strongkeep/internal/vault/unsealed"
)

// issue makes the token of a login in the request's own transaction, so that a
// login is one durable write: token, accessor, due time, all or none.
func (c *call) issue(ctx context.Context, t *unsealed.Tx, res *engine.Response) error {
	if c.mount.Class != mount.Auth {
		return errs.Newf(errs.Internal, "the engine at %q gave a login, which only auth methods may", c.mount.Path)
	}
	auth := res.Auth
	policies, err := grant.Login(auth.Params.Policies, auth.Params.NoDefaultPolicy)
	if err != nil {
		return err
	}
	kind, err := loginType(auth, c.mount)
	if err != nil {
		return err
	}
	session, err := c.enrol(ctx, t, auth)
	if err != nil {
		return err
	}
	made, err := c.vault.Tokens.Create(ctx, t, token.Spec{
		Namespace: namespace.Key(c.ns), EntityID: session.ID(), Orphan: true, Type: kind,
		Policies: policies, Path: c.rel, MountID: c.mount.ID,
		DisplayName: displayName(c.mount.Path, auth.DisplayName), Meta: auth.Metadata,
		TTL: auth.Params.TTL, Period: auth.Params.Period, MaxTTL: auth.Params.MaxTTL,
		ExplicitMaxTTL: auth.Params.ExplicitMaxTTL, Default: c.mount.TTLs.Default, Max: c.mount.TTLs.Max,
		NumUses: auth.Params.NumUses, Renewable: auth.Renewable, BoundCIDRs: auth.Params.BoundCIDRs,
	})
	if err != nil {
		return errs.Newf(errs.KindOf(err), "making the token of the login: %w", err)
	}
	e := made.Entry
	if err := session.Finish(ctx, e.Expires); err != nil {
		return err
	}
	c.issued = e
	auth.Issued = &engine.Issued{
		ClientToken: made.Token.RevealString(), Accessor: e.Accessor, Policies: session.Names(e.Policies), TokenPolicies: e.Policies, IdentityPolicies: session.Own(),
		EntityID: e.EntityID, TTL: e.TTL, Renewable: e.Renewable, Type: engineType(e.Type), Orphan: e.Orphan, NumUses: e.NumUses,
	}
	missing, err := c.vault.MissingPolicies(ctx, t, c.ns, e.Policies)
	if err != nil {
		return err
	}
	res.Warnings = append(append(res.Warnings, made.Warnings...), missing...)
	return nil
}

// loginType is what the mount is tuned to, or else what the role wants, as in
// Vault. But a login that is to leave nothing behind is refused by a mount that
// gives service tokens alone.
func loginType(auth *engine.Auth, m *mount.Mount) (token.Type, error) {
	tuned, role := m.Config.TokenType, auth.Params.Type
	switch {
	case tuned == mount.Service && role == engine.TokenBatch && auth.KnownOnly:
		path := strings.TrimSuffix(m.Path, "/")
		return 0, errs.Newf(errs.Invalid, "logins of this role are stateless and get batch tokens, and %[1]s is tuned to token_type=service: "+
			"write token_type=default-service to sys/%[1]s/tune, or change the role", path)
	case tuned == mount.Service:
		return token.Service, nil
	case tuned == mount.Batch, role == engine.TokenBatch, tuned == mount.DefaultBatch && role == engine.TokenDefault:
		return token.Batch, nil
	}
	return token.Service, nil
}

func engineType(t token.Type) engine.TokenType {
	if t == token.Batch {
		return engine.TokenBatch
	}
	return engine.TokenService
}

// displayName is "kubernetes-default-my-app": the mount's name and the method's.
func displayName(mountPath, name string) string {
	prefix := strings.ReplaceAll(strings.Trim(strings.TrimPrefix(mountPath, mount.AuthPrefix), "/"), "/", "-")
	if name == "" {
		return prefix
	}
	return prefix + "-" + name
}

// countUse takes one of a token's counted uses in a commit of its own: a
// request that is denied, fails or writes nothing uses one up as well.
func (c *call) countUse(ctx context.Context, entry *token.Entry) error {
	for range unsealed.MaxRuns {
		t := c.vault.Begin()
		last, err := c.vault.Tokens.Use(ctx, t, entry)
		if err != nil {
			return err
		}
		if _, err = t.Commit(ctx); err == nil {
			c.lastUse = last
			return nil
		}
		if !errs.Is(err, errs.Conflict) {
			return errs.Newf(errs.KindOf(err), "counting the use of a token: %w", err)
		}
	}
	return errs.New(errs.Unavailable, "too many requests use this token at once; try again")
}

// afterUse removes a token whose last use this was, once the answer is ready.
// If that fails the token is spent all the same, and ends with its TTL.
func (c *call) afterUse(ctx context.Context) {
	if !c.lastUse {
		return
	}
	c.removeToken(ctx, c.token.Key, c.token.Accessor)
}

// removeToken revokes a token in a commit of its own; that it cannot is only logged.
func (c *call) removeToken(ctx context.Context, key, accessor string) {
	err := c.vault.Commit(context.WithoutCancel(ctx), func(t *unsealed.Tx) error {
		return c.vault.Tokens.Revoke(ctx, t, key, token.Tree)
	})
	if err != nil {
		c.gate.cfg.Log.Warn("removing a token that is of no more use", "accessor", accessor, "error", err)
	}
}
