package sys

import (
	"cmp"
	"context"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/password"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
)

// passwordRoutes are the policies by which engines make passwords.
func (e *Engine) passwordRoutes() []engine.Route {
	name := engine.Field{Name: "name", Type: engine.String, Help: "the policy"}
	return []engine.Route{
		{
			Pattern: "policies/password", Summary: "List the password policies.", ReadOnly: true,
			Handlers: map[engine.Operation]engine.Handler{engine.List: listPasswords, engine.Read: listPasswords},
		},
		{
			Pattern: "policies/password/{name}", Summary: "Read, write or delete one password policy.", ReadOnly: true,
			Fields:   []engine.Field{name, {Name: "policy", Type: engine.String, Help: "length and rules as HCL or JSON, optionally base64"}},
			Handlers: map[engine.Operation]engine.Handler{engine.Read: readPassword, engine.Update: writePassword, engine.Delete: deletePassword},
		},
		{
			Pattern: "policies/password/{name}/generate", Summary: "Make one password by the policy.", ReadOnly: true,
			Fields:   []engine.Field{name},
			Handlers: map[engine.Operation]engine.Handler{engine.Read: e.generatePassword},
		},
	}
}

// passwords is the book of the request's namespace.
func passwords(req *engine.Request) password.Book {
	return password.Book{Namespace: cmp.Or(req.Namespace.ID, engine.RootNamespaceID)}
}

func listPasswords(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	names, err := passwords(req).List(ctx, tx)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	return respond(map[string]any{"keys": names}, false)
}

func readPassword(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	_, text, err := passwords(req).Get(ctx, tx, req.Params["name"])
	if errs.Is(err, errs.NotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return respond(map[string]any{"policy": text}, false)
}

func writePassword(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	text := d.String("policy", "")
	if err := d.Err(); err != nil {
		return nil, err
	}
	if text == "" {
		return nil, errs.New(errs.Invalid, "missing policy")
	}
	return nil, passwords(req).Put(tx, req.Params["name"], policy.Decode(text))
}

func deletePassword(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	return nil, passwords(req).Delete(tx, req.Params["name"])
}

func (e *Engine) generatePassword(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	p, _, err := passwords(req).Get(ctx, tx, req.Params["name"])
	if err != nil {
		return nil, err
	}
	made, err := p.Generate(e.cfg.Random)
	if err != nil {
		return nil, err
	}
	return respond(map[string]any{"password": made.RevealString()}, false)
}
