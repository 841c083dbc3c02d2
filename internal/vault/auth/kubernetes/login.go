package kubernetes

import (
	"context"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/auth"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// login trades a ServiceAccount's token for a vault token. What it does outside
// the transaction is one or two reads of the API server.
func (e *Engine) login(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	name, jwt := strings.ToLower(strings.TrimSpace(d.String("role", ""))), strings.TrimSpace(d.String("jwt", ""))
	switch {
	case d.Err() != nil:
		return nil, d.Err()
	case name == "":
		return nil, errs.New(errs.Invalid, "missing role")
	case jwt == "":
		return nil, errs.New(errs.Invalid, "missing jwt")
	}
	cfg, r, err := e.load(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	params, err := r.Engine()
	if err != nil {
		return nil, err
	}
	if !auth.AllowsAddr(params.BoundCIDRs, req.Remote) {
		return nil, errs.New(errs.Denied, "permission denied: logins by this role are bound to other addresses than yours")
	}
	claims, err := e.believe(cfg, r, jwt, req)
	if err != nil {
		return nil, err
	}
	id, err := e.confirm(ctx, cfg, r, jwt, claims)
	if err != nil {
		return nil, err
	}
	made := &engine.Auth{
		DisplayName: id.namespace + "-" + id.name, Alias: r.alias(id),
		Metadata: map[string]string{
			"role":                        r.Name,
			"service_account_name":        id.name,
			"service_account_namespace":   id.namespace,
			"service_account_secret_name": claims.secretName(),
			"service_account_uid":         id.uid,
		},
		AliasMeta: map[string]string{
			"service_account_name":      id.name,
			"service_account_namespace": id.namespace,
			"service_account_uid":       id.uid,
		},
		Params: params, Renewable: true, Orphan: true,
	}
	if made.Alias == id.uid {
		made.Ephemeral, made.Origin = true, id.namespace+"/"+id.name
	}
	if r.Stateless {
		made.KnownOnly = true
		if err := claims.bind(made, req, e.cfg.TTL().Default); err != nil {
			return nil, err
		}
	}
	return &engine.Response{Auth: made}, nil
}

func (e *Engine) load(ctx context.Context, tx engine.Tx, name string) (*config, *role, error) {
	name, err := auth.CleanName("role", name)
	if err != nil {
		return nil, nil, errs.New(errs.Invalid, "invalid role name")
	}
	cfg, err := loadConfig(ctx, tx)
	if err != nil {
		return nil, nil, err
	}
	if cfg == nil {
		return nil, nil, errs.Newf(errs.Invalid, "could not load backend configuration: write %sconfig first", e.cfg.MountPath())
	}
	r, err := e.roles.Load(ctx, tx, name)
	if err != nil {
		return nil, nil, err
	}
	if r == nil {
		return nil, nil, errs.Newf(errs.Invalid, "invalid role name: there is no such role below %srole/", e.cfg.MountPath())
	}
	return cfg, r, nil
}

// believe checks what can be checked of the token without asking anybody.
func (e *Engine) believe(cfg *config, r *role, jwt string, req *engine.Request) (*claims, error) {
	jws, c, err := parseJWT(jwt)
	if err != nil {
		return nil, err
	}
	if err := c.checkTimes(req.Time); err != nil {
		return nil, err
	}
	if r.Audience != "" && !slices.Contains(c.Audience, r.Audience) {
		e.cfg.Log.Info("login refused: wrong audience", "role", r.Name, "audience", r.Audience)
		return nil, errs.Newf(errs.Denied, "invalid audience (aud) claim: the jwt is not for the audience that role %q asks for; set audience in the projected token's volume", r.Name)
	}
	issuer := cfg.Issuer
	if issuer == "" {
		issuer = defaultIssuer
	}
	if cfg.CheckIssuer && c.Issuer != issuer {
		e.cfg.Log.Info("login refused: wrong issuer", "role", r.Name, "issuer", issuer)
		return nil, errs.New(errs.Denied, "permission denied: the jwt is of another issuer than the method's config names")
	}
	if len(cfg.keys) > 0 && !signedBy(jws, cfg.keys) {
		return nil, errs.New(errs.Denied, "permission denied: the jwt is signed by none of the method's pem_keys")
	}
	return c, nil
}

// confirm lets the API server say whose token it is, and then the role whether
// that account may log in.
func (e *Engine) confirm(ctx context.Context, cfg *config, r *role, jwt string, c *claims) (identity, error) {
	a, err := e.server(cfg, jwt)
	if err != nil {
		return identity{}, err
	}
	id, detail, err := a.review(ctx, jwt, r.Audience)
	if err != nil {
		e.cfg.Log.Info("login refused by the API server", "role", r.Name, "host", cfg.Host, "reason", err, "detail", printable(detail, jwt))
		return identity{}, err
	}
	if id != c.identity() {
		e.cfg.Log.Warn("login refused: the API server and the token do not agree whose it is", "role", r.Name, "host", cfg.Host)
		return identity{}, errs.New(errs.Denied, "permission denied: the Kubernetes API server and the jwt do not agree whose it is")
	}
	if !matchesAny(r.Accounts, id.name) {
		e.refuse(r, id)
		return identity{}, errs.Newf(errs.Denied,
			"service account name not authorized: role %q is not bound to ServiceAccount %q, which this token is of (namespace %q): use another ServiceAccount or role, or have bound_service_account_names of %srole/%s changed",
			r.Name, id.name, id.namespace, e.cfg.MountPath(), r.Name)
	}
	ok := matchesAny(r.Namespaces, id.namespace)
	if !ok && r.selector != nil {
		labels, err := a.namespaceLabels(ctx, id.namespace)
		if err != nil {
			return identity{}, err
		}
		ok = r.selector.matches(labels)
	}
	if !ok {
		e.refuse(r, id)
		return identity{}, errs.Newf(errs.Denied,
			"namespace not authorized: role %q is not bound to namespace %q, which this token's ServiceAccount %q is in: use another ServiceAccount or role, or have bound_service_account_namespaces of %srole/%s changed",
			r.Name, id.namespace, id.name, e.cfg.MountPath(), r.Name)
	}
	return id, nil
}

// printable cuts what the API server said, and takes out the token should an
// authenticator have quoted it.
func printable(detail, jwt string) string {
	detail = strings.ReplaceAll(detail, jwt, redact.Placeholder)
	return detail[:min(len(detail), 512)]
}

// refuse logs what the caller is not told.
func (e *Engine) refuse(r *role, id identity) {
	e.cfg.Log.Info("login refused: not bound to the role", "role", r.Name, "service_account", id.name, "namespace", id.namespace,
		"bound_names", r.Accounts, "bound_namespaces", r.Namespaces, "bound_selector", r.Selector)
}

func (r *role) alias(id identity) string {
	if r.AliasBy == aliasName {
		return id.namespace + "/" + id.name
	}
	return id.uid
}

// Renew implements engine.Renewer: the role must still be there, and says how
// long.
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
