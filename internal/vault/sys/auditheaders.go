package sys

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/audit/headers"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// auditHeaderRoutes say which request headers stand in audit lines. The gate
// loads what is stored once the request has committed.
func (e *Engine) auditHeaderRoutes() []engine.Route {
	name := engine.Field{Name: "name", Type: engine.String, Help: "the header's name"}
	return []engine.Route{
		{
			Pattern: "config/auditing/request-headers", Sudo: true, ReadOnly: true, Summary: "List the request headers that are audited.",
			Handlers: map[engine.Operation]engine.Handler{engine.Read: listHeaders},
		},
		{
			Pattern: "config/auditing/request-headers/{name}", Sudo: true, Summary: "Audit a request header, or no longer.",
			Fields: []engine.Field{name, {Name: "hmac", Type: engine.Bool, Help: "hash its values"}},
			Handlers: map[engine.Operation]engine.Handler{
				engine.Read: readHeader, engine.Update: writeHeader, engine.Delete: deleteHeader,
			},
		},
	}
}

func listHeaders(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	t, err := headers.Load(ctx, tx)
	if err != nil {
		return nil, err
	}
	return respond(map[string]any{"headers": t}, true)
}

func readHeader(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name, err := headers.Clean(req.Params["name"])
	if err != nil {
		return nil, err
	}
	t, err := headers.Load(ctx, tx)
	if err != nil {
		return nil, err
	}
	setting, is := t[name]
	if !is {
		return nil, errs.New(errs.Invalid, "Could not find header in config")
	}
	return respond(map[string]any{name: setting}, true)
}

func writeHeader(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name, err := headers.Clean(req.Params["name"])
	if err != nil {
		return nil, err
	}
	d := req.Decode()
	setting := headers.Setting{HMAC: d.Bool("hmac", false)}
	if err := d.Err(); err != nil {
		return nil, err
	}
	return nil, headers.Set(ctx, tx, name, setting)
}

func deleteHeader(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name, err := headers.Clean(req.Params["name"])
	if err != nil {
		return nil, err
	}
	return nil, headers.Remove(ctx, tx, name)
}
