package sys

import (
	"context"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
)

func (e *Engine) policyRoutes() []engine.Route {
	text := []engine.Field{
		{Name: "name", Type: engine.String, Help: "the policy; names are kept in lower case"},
		{Name: "policy", Type: engine.String, Help: "the rules as HCL or JSON, optionally base64"},
		{Name: "rules", Type: engine.String, Help: "older name of policy"},
	}
	var routes []engine.Route
	for _, word := range []string{"policies/acl", "policy"} {
		legacy := word == "policy"
		routes = append(routes,
			engine.Route{
				Pattern: word, Summary: "List the names of all policies.", ReadOnly: true,
				Handlers: map[engine.Operation]engine.Handler{
					engine.List: e.listPolicies(legacy), engine.Read: e.listPolicies(legacy),
				},
			},
			engine.Route{
				Pattern: word + "/{name...}", Summary: "Read, write or delete one policy.", Fields: text,
				Canonical: func(path string) string {
					name := strings.TrimPrefix(path, word+"/")
					return word + "/" + strings.ToLower(strings.TrimSpace(name)) // as policy.NormalizeName has it
				},
				Handlers: map[engine.Operation]engine.Handler{
					engine.Read: e.readPolicy(legacy), engine.Update: e.writePolicy, engine.Delete: e.deletePolicy,
				},
			})
	}
	return routes
}

func (e *Engine) listPolicies(legacy bool) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		names, err := e.cfg.Policies.List(ctx, tx, policy.Namespace(req.Namespace))
		if err != nil {
			return nil, err
		}
		if req.Namespace.Root() {
			names = append(names, policy.RootName)
		}
		data := map[string]any{"keys": names}
		if legacy {
			data["policies"] = names
		}
		return respond(data, legacy)
	}
}

func (e *Engine) readPolicy(legacy bool) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		p, err := e.cfg.Policies.Get(ctx, tx, policy.Namespace(req.Namespace), req.Params["name"])
		if errs.Is(err, errs.NotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		data := map[string]any{"name": p.Name()}
		if legacy {
			data["rules"] = p.Text()
		} else {
			data["policy"] = p.Text()
		}
		return respond(data, legacy)
	}
}

func (e *Engine) writePolicy(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	text := d.String("policy", d.String("rules", ""))
	if err := d.Err(); err != nil {
		return nil, err
	}
	if text == "" {
		return nil, errs.New(errs.Invalid, "'policy' parameter not supplied or empty")
	}
	asked := req.Params["name"]
	p, err := e.cfg.Policies.Put(tx, policy.Namespace(req.Namespace), asked, policy.Decode(text))
	if err != nil {
		return nil, err
	}
	if p.Name() != asked {
		return &engine.Response{Warnings: []string{"the policy's name was changed to lower case: " + p.Name()}}, nil
	}
	return nil, nil
}

func (e *Engine) deletePolicy(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	return nil, e.cfg.Policies.Delete(tx, policy.Namespace(req.Namespace), req.Params["name"])
}
