package kubernetes

import (
	"github.com/strongkeep/strongkeep/internal/vault/auth"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// Engine is one mount of the method.
type Engine struct {
	cfg   engine.Config
	api   clients
	local files
	roles *auth.Records[role, *role]
}

// New is the method's engine.Factory.
func New(cfg engine.Config) (engine.Engine, error) {
	return &Engine{cfg: cfg, local: files{dir: serviceAccountDir, now: cfg.Now}, roles: roles()}, nil
}

// Close drops idle connections.
func (e *Engine) Close() error {
	e.api.close()
	return nil
}

type handlers = map[engine.Operation]engine.Handler

// Routes implements engine.Engine.
func (e *Engine) Routes() []engine.Route {
	return append(e.roles.Routes("role", append(roleFields(), auth.Fields()...)), []engine.Route{
		{
			Pattern: "config", Handlers: handlers{engine.Read: e.readConfig, engine.Update: e.writeConfig}, Fields: configFields(),
			Summary: "How to reach the cluster.",
			Help:    "A write replaces the whole configuration. The reviewer's token is never shown.",
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
	}...)
}
