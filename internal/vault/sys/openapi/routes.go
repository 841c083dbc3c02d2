package openapi

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
)

// Config of Routes. All fields are set.
type Config struct {
	Mounts   *mount.Registry
	Policies *policy.Book
	Version  string
	Subject  func(ctx context.Context, tx engine.Tx, req *engine.Request) (policy.Subject, error) // unsealed.Vault.Caller
}

// Routes are those below sys/.
func Routes(cfg Config) []engine.Route {
	return []engine.Route{{
		Pattern: "internal/specs/openapi", TokenOnly: true, ReadOnly: true,
		Summary: "The API in the form of OpenAPI 3.0.2, as far as the caller may use it.",
		Help:    "It is made of what the mounted engines declare. A mount is part of it if policy grants the caller anything below it.",
		Fields: []engine.Field{
			{Name: "generic_mount_paths", Type: engine.Bool, Help: "put a parameter in place of each mount's path, as generators of clients want it"},
		},
		Handlers: map[engine.Operation]engine.Handler{engine.Read: cfg.read},
	}}
}

func (c Config) read(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	generic := d.Bool("generic_mount_paths", false)
	if err := d.Err(); err != nil {
		return nil, err
	}
	who, err := c.Subject(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	acl, _, err := c.Policies.ACLFor(ctx, tx, who)
	if err != nil {
		return nil, err
	}
	var visible []*mount.Mount
	for _, m := range c.Mounts.Table().In(req.Namespace) {
		if acl.AnyUnder(req.Namespace.Path + m.Path) {
			visible = append(visible, m)
		}
	}
	raw, err := engine.JSON(Describe(visible, Options{Version: c.Version, Generic: generic, Below: !req.Namespace.Root()}))
	if err != nil {
		return nil, err
	}
	return &engine.Response{Raw: &engine.Raw{Status: 200, ContentType: "application/json", Body: raw}}, nil
}
