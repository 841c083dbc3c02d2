package sys

import (
	"context"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

func (e *Engine) capabilityRoutes() []engine.Route {
	paths := engine.Field{Name: "paths", Type: engine.Strings, Help: "the paths to ask about"}
	path := engine.Field{Name: "path", Type: engine.Strings, Help: "older name of paths"}
	return []engine.Route{
		{
			Pattern: "capabilities", Summary: "What a token may do at some paths.",
			Fields:   []engine.Field{{Name: "token", Type: engine.String, Help: "the token", Secret: true}, paths, path},
			Handlers: map[engine.Operation]engine.Handler{engine.Update: e.capabilities},
		},
		{
			Pattern: "capabilities-self", Summary: "What the caller may do at some paths.",
			Fields:   []engine.Field{paths, path},
			Handlers: map[engine.Operation]engine.Handler{engine.Update: e.capabilitiesSelf},
		},
		{
			Pattern: "capabilities-accessor", Summary: "What the token with an accessor may do at some paths.",
			Fields:   []engine.Field{{Name: "accessor", Type: engine.String, Help: "the token's accessor"}, paths, path},
			Handlers: map[engine.Operation]engine.Handler{engine.Update: e.capabilitiesAccessor},
		},
	}
}

func (e *Engine) capabilities(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	asked := d.String("token", "")
	if err := d.Err(); err != nil {
		return nil, err
	}
	if asked == "" {
		return nil, errs.New(errs.Invalid, "missing token: to ask about your own use sys/capabilities-self")
	}
	entry, err := e.cfg.Tokens.Lookup(ctx, tx, asked)
	if errs.Is(err, errs.Unauthenticated) {
		return nil, errs.New(errs.Invalid, "invalid token: it is unknown, expired or revoked")
	}
	if err != nil {
		return nil, err
	}
	return e.answerFor(ctx, tx, req, entry, errs.New(errs.Invalid, "invalid token: it is unknown, expired or revoked"))
}

func (e *Engine) capabilitiesSelf(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	who, err := e.cfg.Caller(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	return e.answerCapabilities(ctx, tx, req, who)
}

func (e *Engine) capabilitiesAccessor(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	accessor := d.String("accessor", "")
	if err := d.Err(); err != nil {
		return nil, err
	}
	entry, err := e.cfg.Tokens.LookupAccessor(ctx, tx, accessor)
	if errs.Is(err, errs.Denied) {
		return nil, errs.As(errs.Invalid, err)
	}
	if err != nil {
		return nil, err
	}
	return e.answerFor(ctx, tx, req, entry, errs.As(errs.Invalid, token.ErrAccessor))
}

// answerFor answers for a token that the request names. unknown is the answer if
// it is one of a namespace that the request cannot reach.
func (e *Engine) answerFor(ctx context.Context, tx engine.Tx, req *engine.Request, entry *token.Entry, unknown error) (*engine.Response, error) {
	_, err := e.cfg.Reach(ctx, tx, req, entry.Namespace)
	if errs.Is(err, errs.Denied) {
		return nil, unknown
	}
	if err != nil {
		return nil, err
	}
	who, err := e.cfg.Subject(ctx, tx, entry)
	if errs.Is(err, errs.Denied) {
		who, err = policy.Subject{}, nil // its entity is disabled: it may do nothing
	}
	if err != nil {
		return nil, err
	}
	return e.answerCapabilities(ctx, tx, req, who)
}

func (e *Engine) answerCapabilities(ctx context.Context, tx engine.Tx, req *engine.Request, who policy.Subject) (*engine.Response, error) {
	d := req.Decode()
	paths := d.Strings("paths")
	if len(paths) == 0 {
		paths = d.Strings("path")
	}
	if err := d.Err(); err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, errs.New(errs.Invalid, "missing paths: name at least one")
	}
	acl, _, err := e.cfg.Policies.ACLFor(ctx, tx, who)
	if err != nil {
		return nil, err
	}
	data := make(map[string]any, len(paths)+1)
	for _, path := range paths {
		data[path] = acl.Capabilities(req.Namespace.Path + strings.TrimLeft(path, "/"))
	}
	if len(paths) == 1 {
		data["capabilities"] = data[paths[0]]
	}
	return respond(data, true)
}
