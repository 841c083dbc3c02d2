package approle

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/auth"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// role says what proves it and what tokens it gives. Durations are in seconds.
type role struct {
	Name          string   `json:"name"`
	RoleID        string   `json:"role_id"`
	Set           string   `json:"set"` // of its secret IDs, see the package
	BindSecretID  bool     `json:"bind_secret_id"`
	SecretCIDRs   []string `json:"secret_id_bound_cidrs,omitempty"`
	SecretUses    int64    `json:"secret_id_num_uses,omitempty"` // 0 = unlimited
	SecretTTL     int64    `json:"secret_id_ttl,omitempty"`      // 0 = for ever
	LocalSecrets  bool     `json:"local_secret_ids,omitempty"`   // accepted and shown: there is no replication
	auth.Params            // of tokens
	secretIDCIDRs []netip.Prefix
}

func roleFields() []engine.Field {
	return []engine.Field{
		{Name: "bind_secret_id", Type: engine.Bool, Default: "true", Help: "a login must show a secret ID"},
		{Name: "secret_id_bound_cidrs", Type: engine.Strings, Help: "addresses or networks that logins may come from"},
		{Name: "bound_cidr_list", Type: engine.Strings, Help: "older name of secret_id_bound_cidrs"},
		{Name: "secret_id_num_uses", Type: engine.Int, Help: "logins that a secret ID is good for; 0 = any number"},
		{Name: "secret_id_ttl", Type: engine.Duration, Help: "how long a secret ID lives; 0 = for ever"},
		{Name: "local_secret_ids", Type: engine.Bool, Help: "accepted and shown; there is no replication"},
		{Name: "role_id", Type: engine.String, Help: "an ID of your choice; random if absent"},
		{Name: "policies", Type: engine.Strings, Help: "older name of token_policies"},
		{Name: "period", Type: engine.Duration, Help: "older name of token_period"},
	}
}

// Decode implements auth.Record.
func (r *role) Decode(req *engine.Request) error {
	d := req.Decode()
	r.BindSecretID = d.Bool("bind_secret_id", r.BindSecretID)
	r.LocalSecrets = d.Bool("local_secret_ids", r.LocalSecrets)
	r.SecretUses = d.Int("secret_id_num_uses", r.SecretUses)
	r.SecretTTL = int64(d.Duration("secret_id_ttl", time.Duration(r.SecretTTL)*time.Second) / time.Second)
	r.RoleID = d.String("role_id", r.RoleID)
	cidrs := d.Strings("secret_id_bound_cidrs")
	if cidrs == nil {
		cidrs = d.Strings("bound_cidr_list")
	}
	if cidrs != nil {
		r.SecretCIDRs = cidrs
	}
	if err := r.Params.Decode(&d); err != nil {
		return err
	}
	return r.CheckLogin()
}

// Check implements auth.Record.
func (r *role) Check() (err error) {
	if r.secretIDCIDRs, err = auth.ParseCIDRs(r.SecretCIDRs); err != nil {
		return errs.Newf(errs.Invalid, "secret_id_bound_cidrs: %w", err)
	}
	switch {
	case r.SecretUses < 0:
		return errs.New(errs.Invalid, "secret_id_num_uses cannot be negative")
	case r.SecretTTL < 0:
		return errs.New(errs.Invalid, "secret_id_ttl cannot be negative")
	case len(r.RoleID) > 1024:
		return errs.New(errs.Invalid, "role_id is longer than 1024 bytes")
	case !r.BindSecretID && len(r.SecretCIDRs) == 0 && len(r.BoundCIDRs) == 0:
		return errs.New(errs.Invalid, "at least one constraint should be enabled on the role: set bind_secret_id, secret_id_bound_cidrs or token_bound_cidrs")
	}
	return nil
}

// Show implements auth.Record. The role's ID has a path of its own.
func (r *role) Show() engine.Builder {
	return r.Params.Show(engine.NewObject().
		Bool("bind_secret_id", r.BindSecretID).
		Bool("local_secret_ids", r.LocalSecrets).
		Strs("secret_id_bound_cidrs", r.SecretCIDRs).
		Int("secret_id_num_uses", r.SecretUses).
		Int("secret_id_ttl", r.SecretTTL))
}

// roleWritten gives a new role its ID and keeps the index of IDs in step.
func (e *Engine) roleWritten(ctx context.Context, tx engine.Tx, old, now *role) (_ *engine.Response, err error) {
	if now.RoleID == "" {
		if now.RoleID, err = e.uuid(); err != nil {
			return nil, err
		}
	}
	if now.Set == "" {
		if now.Set, err = e.uuid(); err != nil {
			return nil, err
		}
	}
	if old != nil && old.RoleID == now.RoleID {
		return nil, nil
	}
	at, err := e.hash(ctx, tx, now.RoleID)
	if err != nil {
		return nil, err
	}
	taken, err := tx.Get(ctx, idFolder+at)
	if err != nil {
		return nil, err
	}
	if taken.Exists() {
		return nil, errs.New(errs.Invalid, "role_id already in use: choose another one")
	}
	tx.Put(idFolder+at, []byte(now.Name))
	if old == nil {
		return nil, nil
	}
	return nil, e.forgetID(ctx, tx, old)
}

const (
	idFolder   = "id/"
	goneFolder = "gone/"
)

func (e *Engine) forgetID(ctx context.Context, tx engine.Tx, r *role) error {
	at, err := e.hash(ctx, tx, r.RoleID)
	tx.Delete(idFolder + at)
	return err
}

// roleDeleted makes the role's ID void at once, and has its secret IDs deleted.
func (e *Engine) roleDeleted(ctx context.Context, tx engine.Tx, r *role) error {
	tx.Put(goneFolder+r.Set, []byte{1})
	e.cfg.Wake()
	return e.forgetID(ctx, tx, r)
}

// fieldRoutes let one field of a role be read, written and reset by itself.
func (e *Engine) fieldRoutes() []engine.Route {
	var routes []engine.Route
	for _, f := range []struct{ path, name, old, reset string }{
		{"bind-secret-id", "bind_secret_id", "", "true"},
		{"local-secret-ids", "local_secret_ids", "", "false"},
		{"secret-id-bound-cidrs", "secret_id_bound_cidrs", "bound_cidr_list", "[]"},
		{"bound-cidr-list", "secret_id_bound_cidrs", "bound_cidr_list", "[]"},
		{"secret-id-num-uses", "secret_id_num_uses", "", "0"},
		{"secret-id-ttl", "secret_id_ttl", "", "0"},
		{"policies", "token_policies", "policies", "[]"},
		{"period", "token_period", "period", "0"},
		{"token-ttl", "token_ttl", "", "0"},
		{"token-max-ttl", "token_max_ttl", "", "0"},
		{"token-num-uses", "token_num_uses", "", "0"},
		{"token-bound-cidrs", "token_bound_cidrs", "", "[]"},
	} {
		fields := []engine.Field{{Name: f.name, Help: "the new value"}}
		if f.old != "" {
			fields = append(fields, engine.Field{Name: f.old, Help: "older name"})
		}
		routes = append(routes, engine.Route{
			Pattern: "role/{name}/" + f.path, Canonical: strings.ToLower, Fields: fields,
			Handlers: handlers{
				engine.Read:   e.readField(f.name),
				engine.Update: e.writeField(f.name, f.old),
				engine.Delete: e.resetField(f.name, f.reset),
			},
			Summary: "The field " + f.name + " of a role.", Help: "A delete sets it to what it is in a new role.",
		})
	}
	return routes
}

func (e *Engine) readField(field string) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		_, r, err := e.roles.Find(ctx, tx, req)
		if err != nil {
			return notFound(err)
		}
		data := engine.NewObject()
		err = engine.Members(r.Show().Value(), func(name string, value jsontext.Value) error {
			if name == field {
				data = data.Raw(name, value)
			}
			return nil
		})
		return &engine.Response{Data: data.Value()}, err
	}
}

func (e *Engine) writeField(field, old string) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		value := req.Body.Field(field)
		if value == nil && old != "" {
			value = req.Body.Field(old)
		}
		if value == nil {
			return nil, errs.Newf(errs.Invalid, "missing %s", field)
		}
		return e.setField(ctx, tx, req, field, value)
	}
}

func (e *Engine) resetField(field, value string) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		return e.setField(ctx, tx, req, field, jsontext.Value(value))
	}
}

func (e *Engine) setField(ctx context.Context, tx engine.Tx, req *engine.Request, field string, value jsontext.Value) (*engine.Response, error) {
	name, _, err := e.roles.Find(ctx, tx, req)
	if err != nil {
		return notFound(err)
	}
	only := &engine.Request{Body: engine.NewBody(map[string]jsontext.Value{field: value})}
	return e.roles.Change(ctx, tx, name, func(r *role) error { return r.Decode(only) })
}
