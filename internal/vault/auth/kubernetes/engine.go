package kubernetes

import (
	"strings"

	"github.com/strongkeep/strongkeep/internal/vault/auth"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// Engine is one mount of the method.
type Engine struct {
	cfg   engine.Config
	api   clients
	local files
}

// New is the method's engine.Factory.
func New(cfg engine.Config) (engine.Engine, error) {
	return &Engine{cfg: cfg, local: files{dir: serviceAccountDir, now: cfg.Now}}, nil
}

// Close drops idle connections.
func (e *Engine) Close() error {
	e.api.close()
	return nil
}

type handlers = map[engine.Operation]engine.Handler

// Routes implements engine.Engine.
func (e *Engine) Routes() []engine.Route {
	return []engine.Route{
		{
			Pattern: "config", Handlers: handlers{engine.Read: e.readConfig, engine.Update: e.writeConfig}, Fields: configFields(),
			Summary: "How to reach the cluster.",
			Help:    "A write replaces the whole configuration. The reviewer's token is never shown.",
		},
		{
			Pattern: "role", Handlers: handlers{engine.List: e.listRoles}, ReadOnly: true,
			Summary: "List the roles.", Help: "A role says which ServiceAccounts may log in, and what tokens they get.",
		},
		{
			Pattern:  "role/{name}",
			Handlers: handlers{engine.Read: e.readRole, engine.Create: e.writeRole, engine.Update: e.writeRole, engine.Delete: e.deleteRole},
			Exists:   e.roleExists, Canonical: strings.ToLower, Fields: append(roleFields(), auth.Fields()...),
			Summary: "A role.", Help: "Fields that are absent in an update stay as they are.",
		},
		{
			Pattern: "login", Handlers: handlers{engine.Update: e.login}, Unauthenticated: true,
			Fields: []engine.Field{
				{Name: "role", Type: engine.String, Help: "the role to log in by"},
				{Name: "jwt", Type: engine.String, Secret: true, Help: "the ServiceAccount's token, from its projected volume"},
			},
			Summary: "Log in with a ServiceAccount's token.",
			Help:    "The token is checked by the cluster's TokenReview API at every login.",
		},
	}
}
