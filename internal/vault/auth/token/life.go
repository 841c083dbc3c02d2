package token

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	core "github.com/strongkeep/strongkeep/internal/vault/token"
)

func (e *Engine) renew(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	token, err := secretField(req)
	if err != nil {
		return nil, err
	}
	entry, err := e.byToken(ctx, tx, req, token)
	if errs.Is(err, errs.Unauthenticated) {
		return nil, errs.New(errs.Invalid, "token not found")
	}
	if err != nil {
		return nil, err
	}
	return e.extend(ctx, tx, req, entry, redact.FromString(token))
}

func (e *Engine) renewSelf(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	entry, err := e.caller(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	return e.extend(ctx, tx, req, entry, req.Token)
}

func (e *Engine) renewAccessor(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	entry, err := e.byAccessor(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	return e.extend(ctx, tx, req, entry, redact.Secret{})
}

// extend renews a token, within what its mount, its method or its role says now.
func (e *Engine) extend(ctx context.Context, tx engine.Tx, req *engine.Request, entry *core.Entry, token redact.Secret) (*engine.Response, error) {
	d := req.Decode()
	increment := d.Duration("increment", 0)
	if err := d.Err(); err != nil {
		return nil, err
	}
	limits, err := e.limits(ctx, tx, req, entry)
	if err != nil {
		return nil, err
	}
	next, warnings, err := e.Tokens.Renew(ctx, tx, entry, increment, limits)
	if err != nil {
		return nil, err
	}
	answer, err := e.issued(ctx, tx, next, token, next.LastRenewal)
	return &engine.Response{Auth: answer, Warnings: warnings}, err
}

func (e *Engine) limits(ctx context.Context, tx engine.Tx, req *engine.Request, entry *core.Entry) (core.Limits, error) {
	ttls := e.mount.TTL()
	own := core.Limits{Default: ttls.Default, Max: ttls.Max}
	if entry.MountID != e.mount.MountID && entry.MountID != "" {
		if e.Limits == nil {
			return own, nil
		}
		return e.Limits(ctx, tx, req, entry)
	}
	if entry.Role == "" {
		return own, nil
	}
	ns := engine.Namespace{ID: entry.Namespace, Path: entry.Namespace} // "" = the root
	r, err := e.roles.Load(ctx, engine.Confine(tx, ns.Folder()), entry.Role)
	if err != nil {
		return core.Limits{}, err
	}
	if r == nil {
		return core.Limits{}, errs.Newf(errs.Invalid, "original token role %q could not be found, not renewing", entry.Role)
	}
	own.Period = r.period()
	return own, nil
}

func (e *Engine) revoke(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	token, err := secretField(req)
	if err != nil {
		return nil, err
	}
	entry, err := e.byToken(ctx, tx, req, token)
	if errs.Is(err, errs.Unauthenticated) {
		return nil, nil // not valid is what was asked for
	}
	if err != nil {
		return nil, err
	}
	return nil, e.end(ctx, tx, entry, core.Tree)
}

func (e *Engine) revokeSelf(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	entry, err := e.caller(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	return nil, e.end(ctx, tx, entry, core.Tree)
}

func (e *Engine) revokeAccessor(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	entry, err := e.byAccessor(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	return nil, e.end(ctx, tx, entry, core.Tree)
}

func (e *Engine) revokeOrphan(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	token, err := secretField(req)
	if err != nil {
		return nil, err
	}
	entry, err := e.byToken(ctx, tx, req, token)
	if errs.Is(err, errs.Unauthenticated) {
		return nil, errs.New(errs.Invalid, "token to revoke not found")
	}
	if err != nil {
		return nil, err
	}
	return nil, e.end(ctx, tx, entry, core.OrphanKids)
}

func (e *Engine) end(ctx context.Context, tx engine.Tx, entry *core.Entry, mode core.RevokeMode) error {
	if entry.Type == core.Batch {
		return errs.New(errs.Invalid, "batch tokens cannot be revoked: they end with their TTL or with the token that made them")
	}
	return e.Tokens.Revoke(ctx, tx, entry.Key, mode)
}

func (e *Engine) tidy(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	e.Tokens.Tidy(tx, id(req.Namespace))
	return &engine.Response{Status: 202, Warnings: []string{
		"Tidy operation successfully started. Any information from the operation will be printed to the server's logs.",
	}}, nil
}
