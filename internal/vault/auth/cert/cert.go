package cert

import (
	"context"
	"encoding/json"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/auth"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Engine is one mount of the method.
type Engine struct {
	cfg   engine.Config
	roles auth.Records[role, *role]
	crls  auth.Records[crl, *crl]
}

// New is the method's engine.Factory.
func New(cfg engine.Config) (engine.Engine, error) {
	e := &Engine{
		cfg: cfg,
		roles: auth.Records[role, *role]{
			Folder: "role/", Noun: "certificate role", Param: "name", New: func(name string) role { return role{Name: name} },
		},
		crls: auth.Records[crl, *crl]{
			Folder: "crl/", Noun: "revocation list", Param: "name", New: func(name string) crl { return crl{Name: name} },
		},
	}
	e.roles.Written, e.roles.Deleted = e.index, e.unindex
	return e, nil
}

// Close has nothing to stop.
func (*Engine) Close() error { return nil }

type handlers = map[engine.Operation]engine.Handler

// Routes implements engine.Engine.
func (e *Engine) Routes() []engine.Route {
	routes := e.roles.Routes("certs", append(roleFields(), auth.Fields()...))
	routes = append(routes, e.crls.Routes("crls", crlFields())...)
	return append(routes,
		engine.Route{
			Pattern: "config", Handlers: handlers{engine.Read: e.readConfig, engine.Update: e.writeConfig},
			Fields: []engine.Field{
				{Name: "disable_binding", Type: engine.Bool, Help: "let a token be renewed without the certificate it was given for"},
				{Name: "enable_identity_alias_metadata", Type: engine.Bool, Help: "keep the certificate's names with the alias, for templated policies"},
			},
			Summary: "How the method behaves.", Help: "Fields that are absent stay as they are.",
		},
		engine.Route{
			Pattern: "login", Handlers: handlers{engine.Update: e.login}, Unauthenticated: true,
			Fields:  []engine.Field{{Name: "name", Type: engine.String, Help: "the role to log in by; without it the first that fits, by name"}},
			Summary: "Log in with the certificate of the TLS connection.", Help: "The client shows its certificate in the handshake; nothing is in the body.",
		})
}

// config of a mount; its zero value is the default.
type config struct {
	DisableBinding bool `json:"disable_binding,omitempty"`
	AliasMetadata  bool `json:"enable_identity_alias_metadata,omitempty"`
}

const configKey = "config"

func loadConfig(ctx context.Context, tx engine.Tx) (config, error) {
	stored, err := tx.Get(ctx, configKey)
	if err != nil || !stored.Exists() {
		return config{}, err
	}
	return store.Decode(stored, func(b []byte) (c config, err error) {
		if json.Unmarshal(b, &c) != nil {
			err = errs.New(errs.Internal, "the config of a cert method is damaged")
		}
		return c, err
	})
}

func (e *Engine) readConfig(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	c, err := loadConfig(ctx, tx)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: engine.NewObject().
		Bool("disable_binding", c.DisableBinding).
		Bool("enable_identity_alias_metadata", c.AliasMetadata).Value()}, nil
}

func (e *Engine) writeConfig(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	c, err := loadConfig(ctx, tx)
	if err != nil {
		return nil, err
	}
	d := req.Decode()
	c.DisableBinding = d.Bool("disable_binding", c.DisableBinding)
	c.AliasMetadata = d.Bool("enable_identity_alias_metadata", c.AliasMetadata)
	if err := d.Err(); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding a config: %w", err)
	}
	tx.Put(configKey, raw)
	return nil, nil
}
