package wrapping

import (
	"context"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

// Routes are those below sys/wrapping.
func (w *Wrapper) Routes() []engine.Route {
	wrapped := []engine.Field{{Name: "token", Type: engine.String, Secret: true, Help: "the wrapping token; the caller's own if it is left out"}}
	return []engine.Route{
		{
			Pattern: "wrapping/wrap", Summary: "Wrap what is sent, whatever it is.",
			Help:     "The header X-Vault-Wrap-TTL, which is needed, says for how long.",
			Fields:   []engine.Field{{Name: engine.AnyField, Secret: true, Help: "what to wrap"}},
			Handlers: map[engine.Operation]engine.Handler{engine.Update: wrap},
		},
		{
			Pattern: "wrapping/unwrap", Wrapping: true, Fields: wrapped,
			Summary:  "Give what a wrapping token wraps, once.",
			Help:     "The answer is the one that was wrapped, to the byte.",
			Handlers: map[engine.Operation]engine.Handler{engine.Update: w.unwrap},
		},
		{
			Pattern: "wrapping/lookup", Wrapping: true, Unauthenticated: true, Fields: wrapped,
			Summary:  "When a wrapping token was made, by which request and for how long. It stays unused.",
			Handlers: map[engine.Operation]engine.Handler{engine.Update: w.lookup, engine.Read: w.lookup},
		},
		{
			Pattern: "wrapping/rewrap", Wrapping: true, Fields: wrapped,
			Summary:  "Exchange a wrapping token for a new one, unread.",
			Handlers: map[engine.Operation]engine.Handler{engine.Update: w.rewrap},
		},
	}
}

// wrap answers with what it was sent; the gate wraps it like any answer.
func wrap(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	if req.WrapTTL == 0 {
		return nil, errs.New(errs.Invalid, "endpoint requires response wrapping to be used: set X-Vault-Wrap-TTL or VAULT_WRAP_TTL")
	}
	data := req.Body.Raw()
	if len(data) == 0 {
		data = []byte("{}")
	}
	return &engine.Response{Data: data, TopLevel: true}, nil
}

// presented is the wrapping token that a request is about. A caller that is one
// itself can only use itself: the gate has not counted the use.
func (w *Wrapper) presented(ctx context.Context, tx engine.Tx, req *engine.Request) (*token.Entry, error) {
	d := req.Decode()
	named := redact.FromString(d.String("token", ""))
	if err := d.Err(); err != nil {
		return nil, err
	}
	own := req.Token
	find := func(presented redact.Secret) (*token.Entry, error) {
		e, err := w.Lookup(ctx, tx, presented)
		if err == nil && w.cfg.Usable != nil && !w.cfg.Usable(e, req.Namespace) {
			return nil, ErrToken
		}
		return e, err
	}
	if named.Empty() || named.Equal(own) {
		return find(own)
	}
	if req.Caller.TokenKey != "" {
		if _, err := w.Lookup(ctx, tx, own); err == nil {
			return nil, errs.Newf(errs.Invalid, "%w: the caller's own token is a wrapping token, and can only be used for itself", ErrToken)
		}
	}
	return find(named)
}

func (w *Wrapper) unwrap(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	e, err := w.presented(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	a, err := w.Take(ctx, tx, e)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Raw: &engine.Raw{Status: a.Status, ContentType: a.ContentType, Body: a.Body}}, nil
}

func (w *Wrapper) lookup(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	e, err := w.presented(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: engine.NewObject().
		Int("creation_ttl", int64(e.TTL/time.Second)).Time("creation_time", e.Created).Str("creation_path", e.Path).Value()}, nil
}

func (w *Wrapper) rewrap(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	e, err := w.presented(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	wrapped, err := w.Rewrap(ctx, tx, e)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Wrapped: wrapped}, nil
}
