package jwt

import (
	"context"
	"reflect"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/auth"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// login trades a workload's JWT for a token.
func (e *Engine) login(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	name, text := d.String("role", ""), strings.TrimSpace(d.String("jwt", ""))
	if err := d.Err(); err != nil {
		return nil, err
	}
	if text == "" {
		return nil, errs.New(errs.Invalid, "missing token")
	}
	i, r, err := e.load(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	if r.Kind != typeJWT {
		return nil, errs.New(errs.Invalid, "role with oidc role_type is not allowed: log in by a browser, or use a role of type jwt")
	}
	if err := allowed(r, req); err != nil {
		return nil, err
	}
	c, err := i.believe(ctx, r, text, req.Time)
	if err != nil {
		return nil, err
	}
	a, err := r.admit(c)
	if err != nil {
		e.cfg.Log.Info("login refused", "role", r.Name, "reason", err)
		return nil, err
	}
	return &engine.Response{Auth: a}, nil
}

// believe verifies a workload's JWT and all that does not depend on whose it is.
func (i *issuer) believe(ctx context.Context, r *role, text string, now time.Time) (claims, error) {
	payload, err := i.verify(ctx, text)
	if err != nil {
		return nil, err
	}
	c, err := parseClaims(payload)
	if err != nil {
		return nil, err
	}
	if err := c.checkTimes(now, r); err != nil {
		return nil, err
	}
	if err := i.checkIssuer(c); err != nil {
		return nil, err
	}
	return c, r.checkAudience(c)
}

func (i *issuer) checkIssuer(c claims) error {
	said, _ := c.text("iss")
	switch bound, discovery := i.cfg.Issuer, i.cfg.Discovery; {
	case bound != "" && said != bound:
		return errs.New(errs.Denied, "error validating token: invalid issuer (iss) claim")
	case bound == "" && discovery != "" && strings.TrimSuffix(said, "/") != strings.TrimSuffix(discovery, "/"):
		return errs.New(errs.Denied, "error validating token: the iss claim is not oidc_discovery_url; set bound_issuer if that is meant")
	}
	return nil
}

func allowed(r *role, req *engine.Request) error {
	params, err := r.Engine()
	if err == nil && !auth.AllowsAddr(params.BoundCIDRs, req.Remote) {
		err = errs.New(errs.Denied, "permission denied: logins by this role are bound to other addresses than yours")
	}
	return err
}

// load returns the issuer of the config and the role of that name, or the default role.
func (e *Engine) load(ctx context.Context, tx engine.Tx, name string) (*issuer, *role, error) {
	c, err := loadConfig(ctx, tx)
	if err != nil {
		return nil, nil, err
	}
	if c == nil {
		return nil, nil, errs.Newf(errs.Invalid, "could not load configuration: write %sconfig first", e.cfg.MountPath())
	}
	if name == "" {
		name = c.DefaultRole
	}
	if name == "" {
		return nil, nil, errs.New(errs.Invalid, "missing role")
	}
	clean, err := auth.CleanName("role", name)
	if err != nil {
		return nil, nil, errs.New(errs.Invalid, "invalid role name")
	}
	r, err := e.roles.Load(ctx, tx, clean)
	if err != nil {
		return nil, nil, err
	}
	if r == nil {
		return nil, nil, errs.Newf(errs.Invalid, "role could not be found: there is no such role below %srole/", e.cfg.MountPath())
	}
	i, err := e.issuerOf(c)
	return i, r, err
}

// issuerOf returns the issuer for c, with the keys it has, as long as the config
// stays the same.
func (e *Engine) issuerOf(c *config) (*issuer, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.issuer != nil && reflect.DeepEqual(e.issuer.cfg.settings(), c.settings()) {
		return e.issuer, nil
	}
	i, err := newIssuer(c, e.cfg.Now)
	if err != nil {
		return nil, err
	}
	if e.issuer != nil {
		e.issuer.client.CloseIdleConnections()
	}
	e.issuer = i
	return i, nil
}

// Renew implements engine.Renewer: the role must still be there, and says how long.
func (e *Engine) Renew(ctx context.Context, tx engine.Tx, a *engine.Auth) (*engine.Auth, error) {
	name, err := auth.CleanName("role", a.Metadata["role"])
	if err != nil {
		return nil, errs.New(errs.Invalid, "the token does not say by which role it was given: log in again")
	}
	r, err := e.roles.Load(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, errs.Newf(errs.Invalid, "role %q was deleted: its tokens cannot be renewed", name)
	}
	next := *a
	next.Params, err = r.Engine()
	return &next, err
}
