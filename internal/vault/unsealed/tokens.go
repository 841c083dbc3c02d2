package unsealed

import (
	"context"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

// errNoToken is for a token that is not known any more (facts §2.1).
var errNoToken = errs.New(errs.Unauthenticated, "permission denied")

// tokenGone lets every engine that keeps something per token drop it.
// Engines do it in one go: what they keep per token is bounded (cubbyhole).
func (v *Vault) tokenGone(ctx context.Context, tx token.Tx, tokenKey string) (more bool, err error) {
	for _, m := range v.Mounts.Table().TokenWatchers() {
		w, ok := m.Engine.(engine.TokenWatcher)
		if !ok {
			continue
		}
		if err := w.TokenGone(ctx, mount.Confine(silentTx{tx}, m.Storage()), tokenKey); err != nil {
			return false, err
		}
	}
	return false, v.Leases.TokenGone(ctx, tx, tokenKey)
}

// silentTx is a transaction of background work, which announces nothing.
type silentTx struct{ token.Tx }

func (silentTx) Emit(engine.Event) {}

// RevokeTokens ends the tokens of a namespace that were made by a request at path
// or below it; see token.Manager.RevokeBelow.
func (v *Vault) RevokeTokens(ctx context.Context, ns engine.Namespace, path string) (int, error) {
	return v.Tokens.RevokeBelow(ctx, v.Store, namespace.Key(ns), path, v.madeAt)
}

// madeAt is the path of the request that made a token. If the token's mount has
// moved since, it is that of the mount: what is at the old path now is something else.
func (v *Vault) madeAt(e *token.Entry) string {
	if m := v.Mounts.Table().ByID(e.MountID); m != nil && !strings.HasPrefix(e.Path, m.Path) {
		return strings.TrimSuffix(m.Path, "/")
	}
	return e.Path
}

// MissingPolicies returns a warning for each name that no policy in ns stands behind.
func (v *Vault) MissingPolicies(ctx context.Context, tx engine.Tx, ns engine.Namespace, names []string) (warnings []string, err error) {
	_, missing, err := v.Policies.ACLFor(ctx, tx, policy.Subject{Namespace: policy.Namespace(ns), Names: names})
	for _, name := range missing {
		warnings = append(warnings, "Policy \""+name+"\" does not exist")
	}
	return warnings, err
}

// TokenLimits asks the mount that gave a token, and its method if that is a
// Renewer, how long it may go on. The method may refuse. req is the renewal.
func (v *Vault) TokenLimits(ctx context.Context, tx engine.Tx, req *engine.Request, e *token.Entry) (token.Limits, error) {
	m := v.Mounts.Table().ByID(e.MountID)
	if e.MountID == "" {
		m = v.Mounts.Table().ByPath(namespace.Root, mount.AuthPrefix+"token/")
	}
	if m == nil {
		return token.Limits{}, errNoToken
	}
	limits := token.Limits{Default: m.TTLs.Default, Max: m.TTLs.Max}
	renewer, ok := m.Engine.(engine.Renewer)
	if !ok || e.MountID == "" {
		return limits, v.renewed(ctx, tx, e, limits, nil)
	}
	auth, err := renewer.Renew(ctx, mount.Confine(tx, m.Storage()), &engine.Auth{
		DisplayName: e.DisplayName, Metadata: e.Meta, Renewable: e.Renewable, Role: e.Role, Certificates: req.Certificates,
		Params: engine.TokenParams{TTL: e.TTL, MaxTTL: e.MaxTTL, Period: e.Period, ExplicitMaxTTL: e.ExplicitMaxTTL, Policies: e.Policies},
	})
	if err != nil {
		return limits, err
	}
	if auth == nil {
		return limits, v.renewed(ctx, tx, e, limits, nil)
	}
	limits.TTL, limits.MaxTTL, limits.Period = auth.Params.TTL, auth.Params.MaxTTL, auth.Params.Period
	return limits, v.renewed(ctx, tx, e, limits, auth.Groups)
}

// tokenAlive reports whether the token with this key is valid.
func (v *Vault) tokenAlive(ctx context.Context, r lease.Reader, key string) (bool, error) {
	_, err := v.Tokens.Get(ctx, r, key)
	if errs.Is(err, errs.Unauthenticated) {
		return false, nil
	}
	return err == nil, err
}

// namespaceLost reports whether the namespace with this ID was deleted.
func (v *Vault) namespaceLost(id string) bool { return v.Namespaces.Table().Entry(id) == nil }

// mountLost reports whether the mount with this ID was removed.
func (v *Vault) mountLost(id string) bool { return v.Mounts.Table().ByID(id) == nil }
