package gate

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/envelope"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/token"
	"github.com/strongkeep/strongkeep/internal/vault/unsealed"
	"github.com/strongkeep/strongkeep/internal/vault/wrapping"
)

// wrap keeps the answer in t, if the client asked for that, and returns what is
// answered in its place. What is empty and what is no success is not wrapped; nor
// is what an open path says to anybody but a new token: there is nothing to hide,
// and strangers must not fill the store with copies.
func (c *call) wrap(ctx context.Context, t *unsealed.Tx, res *engine.Response) (*engine.Response, error) {
	if c.req.WrapTTL == 0 || !c.mayWrap(res) {
		return res, nil
	}
	if res.Raw != nil && res.Raw.Status == 0 {
		return nil, errs.New(errs.Invalid, "this answer cannot be wrapped: unset VAULT_WRAP_TTL or the X-Vault-Wrap-TTL header")
	}
	answer := c.asSent(res)
	if answer.Status < 200 || answer.Status > 299 || len(answer.Body) == 0 {
		return res, nil
	}
	in := wrapping.Wrapping{TTL: c.req.WrapTTL, Namespace: namespace.Key(c.ns), Path: c.rel, Answer: answer}
	if res.Auth != nil && res.Auth.Issued != nil {
		in.Accessor = res.Auth.Issued.Accessor
	}
	wrapped, err := c.vault.Wrapping.Wrap(ctx, t, in)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Wrapped: wrapped, After: res.After}, nil
}

func (c *call) mayWrap(res *engine.Response) bool {
	if c.op == engine.Help || envelope.Empty(c.op, res) || res.Wrapped != nil {
		return false
	}
	return !c.open() || res.Auth != nil
}

// asSent is what the client would get of res.
func (c *call) asSent(res *engine.Response) wrapping.Answer {
	if res.Raw != nil {
		return wrapping.Answer{Status: res.Raw.Status, ContentType: res.Raw.ContentType, Body: res.Raw.Body}
	}
	status := 200
	if res.Status != 0 {
		status = res.Status
	}
	return wrapping.Answer{Status: status, ContentType: "application/json", Body: envelope.Append(nil, c.req.ID, res)}
}

// ownWrapping reports whether the request is about the wrapping token that it
// was made with: then the handler takes its use, together with what it wraps.
func (c *call) ownWrapping(e *token.Entry) bool {
	return c.route != nil && c.route.Wrapping && e.Wrapping()
}
