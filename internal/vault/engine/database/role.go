package database

import (
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/connection"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver/statement"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// role makes dynamic users, stored at role/NAME.
type role struct {
	DB         string
	DefaultTTL time.Duration `json:",omitempty"`
	MaxTTL     time.Duration `json:",omitempty"`
	Creation   []string      `json:",omitempty"`
	Revocation []string      `json:",omitempty"`
	Rollback   []string      `json:",omitempty"`
	Renewal    []string      `json:",omitempty"`
	credential
}

// credential is what kind of secret a role gives.
type credential struct {
	Policy string `json:",omitempty"` // credential_config.password_policy; "" = the connection's
}

const rolePrefix = "role/"

// validName is what connections and roles can be called.
var validName = regexp.MustCompile(`^\w(?:[\w.-]*\w)?$`)

func checkName(name string) error {
	if len(name) > 256 || !validName.MatchString(name) {
		return errs.New(errs.Invalid, "a name here is made of letters, digits, _ and, within, . and -")
	}
	return nil
}

func loadRole(ctx context.Context, tx engine.Tx, name string) (*role, error) {
	e, err := tx.Get(ctx, rolePrefix+name)
	if err != nil || !e.Exists() {
		return nil, err
	}
	return store.Decode(e, func(b []byte) (*role, error) {
		r := &role{}
		if json.Unmarshal(b, r) != nil {
			return nil, errs.Newf(errs.Internal, "decoding the role %q: the stored entry is damaged or of a newer format", name)
		}
		return r, nil
	})
}

// decodeCredential reads credential_type and credential_config.
func (c *credential) decode(d *engine.Decoder) error {
	if kind := d.String("credential_type", "password"); kind != "password" {
		return errs.New(errs.Invalid, `unsupported credential_type: the databases built in know "password" only`)
	}
	if config := d.StringMap("credential_config"); config != nil {
		for name := range config {
			if name != "password_policy" {
				return errs.New(errs.Invalid, "credential_config of passwords holds password_policy and nothing else")
			}
		}
		c.Policy = config["password_policy"]
	}
	return nil
}

func (c *credential) show(o engine.Builder) engine.Builder {
	o = o.Str("credential_type", "password")
	if c.Policy != "" {
		o = o.Obj("credential_config", engine.NewObject().Str("password_policy", c.Policy))
	}
	return o
}

// policy is by which a password is made.
func (c *credential) policy(conn *connection.Connection) string {
	if c.Policy != "" {
		return c.Policy
	}
	return conn.PasswordPolicy
}

func (e *Engine) writeRole(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	if err := checkName(name); err != nil {
		return nil, err
	}
	static, err := loadStatic(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	if static != nil {
		return nil, errs.New(errs.Invalid, "Role and Static Role names must be unique")
	}
	old, err := loadRole(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	r := role{}
	if old != nil {
		r = *old
	}
	if err := r.apply(req); err != nil {
		return nil, err
	}
	raw, err := json.Marshal(r)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding the role %q: %w", name, err)
	}
	tx.Put(rolePrefix+name, raw)
	emit(tx, req, "role-"+req.Operation.String(), name)
	return nil, nil
}

// apply changes what the request has.
func (r *role) apply(req *engine.Request) error {
	d := req.Decode()
	r.DB = d.String("db_name", r.DB)
	r.DefaultTTL, r.MaxTTL = d.Duration("default_ttl", r.DefaultTTL), d.Duration("max_ttl", r.MaxTTL)
	err := r.credential.decode(&d)
	if d.Err() != nil {
		return d.Err()
	}
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		to   *[]string
	}{
		{"creation_statements", &r.Creation}, {"revocation_statements", &r.Revocation},
		{"rollback_statements", &r.Rollback}, {"renew_statements", &r.Renewal},
	} {
		if *f.to, err = statement.Decode(req, *f.to, f.name); err != nil {
			return err
		}
	}
	switch {
	case r.DB == "":
		return errs.New(errs.Invalid, "empty database name attribute")
	case r.DefaultTTL < 0 || r.MaxTTL < 0:
		return errs.New(errs.Invalid, "default_ttl and max_ttl cannot be negative")
	case r.MaxTTL > 0 && r.DefaultTTL > r.MaxTTL:
		return errs.New(errs.Invalid, "default_ttl cannot be greater than max_ttl")
	}
	return nil
}

func (e *Engine) readRole(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	r, err := loadRole(ctx, tx, req.Params["name"])
	if err != nil || r == nil {
		return nil, err
	}
	o := engine.NewObject().
		Strs("creation_statements", r.Creation).
		Str("db_name", r.DB).
		Int("default_ttl", int64(r.DefaultTTL/time.Second)).
		Int("max_ttl", int64(r.MaxTTL/time.Second)).
		Strs("renew_statements", r.Renewal).
		Strs("revocation_statements", r.Revocation).
		Strs("rollback_statements", r.Rollback)
	return &engine.Response{Data: r.show(o).Value()}, nil
}

func (e *Engine) deleteRole(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	tx.Delete(rolePrefix + req.Params["name"])
	emit(tx, req, "role-delete", req.Params["name"])
	return nil, nil
}

// list returns a handler that lists the names below a prefix.
func list(prefix string) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
		names, err := tx.List(ctx, prefix, "", 0)
		if err != nil {
			return nil, err
		}
		if len(names) == 0 {
			return nil, nil
		}
		names = slices.Clone(names)
		slices.Sort(names)
		return &engine.Response{Data: engine.NewObject().Strs("keys", names).Value()}, nil
	}
}

// exists returns the Exists of a route whose entries are below a prefix.
func exists(prefix string) func(context.Context, engine.Tx, *engine.Request) (bool, error) {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (bool, error) {
		e, err := tx.Get(ctx, prefix+req.Params["name"])
		return e.Exists(), err
	}
}

// emit announces a change of what is called name.
func emit(tx engine.Tx, req *engine.Request, operation, name string) {
	tx.Emit(engine.Event{Type: "database/" + operation, Path: req.Path, Metadata: map[string]string{
		"operation": operation, "path": req.Path, "name": name, "modified": "true",
	}})
}
