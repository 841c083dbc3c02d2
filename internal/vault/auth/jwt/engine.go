package jwt

import (
	"context"
	"io"
	"sync"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/auth"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// Engine is one mount of the method. The types jwt and oidc are the same.
type Engine struct {
	cfg   engine.Config
	roles auth.Records[role, *role]
	once  exchanges

	mu     sync.Mutex
	issuer *issuer // of the config at revision; nil = none yet
}

// New is the method's engine.Factory.
func New(cfg engine.Config) (engine.Engine, error) {
	return &Engine{cfg: cfg, once: exchanges{now: cfg.Now}, roles: auth.Records[role, *role]{
		Folder: "role/", Noun: "role", Param: "name", New: func(name string) role { return newRole(name) },
	}}, nil
}

// Close drops idle connections.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.issuer != nil {
		e.issuer.client.CloseIdleConnections()
	}
	return nil
}

const stateKey = "state-key"

// Setup implements engine.Setter.
func (e *Engine) Setup(_ context.Context, tx engine.Tx) error {
	key := make([]byte, 32)
	if _, err := io.ReadFull(e.cfg.Random, key); err != nil {
		return errs.Newf(errs.Internal, "reading randomness: %w", err)
	}
	tx.Put(stateKey, key)
	return nil
}

type handlers = map[engine.Operation]engine.Handler

// Routes implements engine.Engine.
func (e *Engine) Routes() []engine.Route {
	callback := []engine.Field{
		{Name: "state", Type: engine.String, Secret: true, Help: "as the provider gave it back"},
		{Name: "code", Type: engine.String, Secret: true, Help: "as the provider gave it"},
		{Name: "client_nonce", Type: engine.String, Secret: true, Help: "as it was given to oidc/auth_url"},
		{Name: "error", Type: engine.String, Help: "what the provider says is wrong"},
		{Name: "error_description", Type: engine.String, Help: "the same for people"},
		{Name: "id_token", Type: engine.String, Secret: true, Help: "not used"},
	}
	return append(e.roles.Routes("role", append(roleFields(), auth.Fields()...)),
		engine.Route{
			Pattern: "config", Handlers: handlers{engine.Read: e.readConfig, engine.Update: e.writeConfig}, Fields: configFields(),
			Summary: "Whose JWTs are believed.", Help: "A write replaces the whole config. The client secret is never shown.",
		},
		engine.Route{
			Pattern: "login", Handlers: handlers{engine.Update: e.login}, Unauthenticated: true,
			Fields: []engine.Field{
				{Name: "role", Type: engine.String, Help: "the role to log in by; the config's default_role if absent"},
				{Name: "jwt", Type: engine.String, Secret: true, Help: "the signed JWT"},
			},
			Summary: "Log in with a JWT.", Help: "The role must be of type jwt.",
		},
		engine.Route{
			Pattern: "oidc/auth_url", Handlers: handlers{engine.Update: e.authURL}, Unauthenticated: true,
			Fields: []engine.Field{
				{Name: "role", Type: engine.String, Help: "the role to log in by; the config's default_role if absent"},
				{Name: "redirect_uri", Type: engine.String, Help: "where the provider sends the browser; one of the role's allowed_redirect_uris"},
				{Name: "client_nonce", Type: engine.String, Secret: true, Help: "random; the same must be shown at the callback"},
			},
			Summary: "Where to send a browser to log in.", Help: "Nothing is stored: the answer's state holds all, sealed.",
		},
		engine.Route{
			Pattern: "oidc/callback", Handlers: handlers{engine.Read: e.callback, engine.Update: e.callback}, Unauthenticated: true, Fields: callback,
			Summary: "Log in with what the provider gave the browser.", Help: "The command line calls it; so does a web page.",
		})
}
