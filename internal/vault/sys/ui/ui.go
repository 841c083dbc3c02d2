package ui

import (
	"context"
	"strings"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
)

// Config of Routes. All fields are set.
type Config struct {
	Policies   *policy.Book
	Namespaces *namespace.Registry
	Subject    func(ctx context.Context, tx engine.Tx, req *engine.Request) (policy.Subject, error) // unsealed.Vault.Caller
}

// Routes are those below sys/.
func Routes(c Config) []engine.Route {
	return []engine.Route{
		{
			Pattern: "internal/ui/resultant-acl", ReadOnly: true, Summary: "What the caller's policies grant, all together.",
			Handlers: map[engine.Operation]engine.Handler{engine.Read: c.acl},
		},
		{
			Pattern: "internal/ui/namespaces", TokenOnly: true, ReadOnly: true, Summary: "The namespaces below, as far as the caller may use them.",
			Handlers: map[engine.Operation]engine.Handler{engine.Read: c.namespaces, engine.List: c.namespaces},
		},
	}
}

// acl shows exact paths and those with wildcards apart, as Vault does: of a path
// that ends in "*" it shows what is before it.
func (c Config) acl(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	who, err := c.Subject(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	grants, root, err := c.Policies.Grants(ctx, tx, who)
	if err != nil {
		return nil, err
	}
	exact, glob := map[string]any{}, map[string]any{}
	for _, g := range grants {
		shown := map[string]any{"capabilities": g.Capabilities}
		if g.Exact {
			exact[g.Path] = shown
		} else {
			glob[strings.TrimSuffix(g.Path, "*")] = shown
		}
	}
	raw, err := engine.JSON(map[string]any{"root": root, "exact_paths": exact, "glob_paths": glob})
	return &engine.Response{Data: raw}, err
}

func (c Config) namespaces(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	who, err := c.Subject(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	acl, _, err := c.Policies.ACLFor(ctx, tx, who)
	if err != nil {
		return nil, err
	}
	keys := []string{}
	for _, e := range c.Namespaces.Table().Children(req.Namespace.Path) {
		if acl.AnyUnder(e.Path) {
			keys = append(keys, strings.TrimPrefix(e.Path, req.Namespace.Path))
		}
	}
	raw, err := engine.JSON(map[string]any{"keys": keys})
	return &engine.Response{Data: raw}, err
}
