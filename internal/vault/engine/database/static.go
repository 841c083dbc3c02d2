package database

import (
	"context"
	"encoding/json"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/connection"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver/statement"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/rotation"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// static is a user that stays and whose password changes, stored at static/NAME.
type static struct {
	DB          string
	Username    string
	Statements  []string `json:",omitempty"` // that set the password; empty = the usual ones
	SelfManaged bool     `json:",omitempty"` // the user changes its own password
	SkipImport  bool     `json:",omitempty"` // the first change waits for its time
	SkipLogin   bool     `json:",omitempty"` // do not prove passwords by a login
	credential
	rotation.State

	name string
}

const staticPrefix = "static/"

func loadStatic(ctx context.Context, tx engine.Tx, name string) (*static, error) {
	e, err := tx.Get(ctx, staticPrefix+name)
	if err != nil || !e.Exists() {
		return nil, err
	}
	return store.Decode(e, func(b []byte) (*static, error) {
		r := &static{name: name}
		if json.Unmarshal(b, r) != nil {
			return nil, errs.Newf(errs.Internal, "decoding the static role %q: the stored entry is damaged or of a newer format", name)
		}
		return r, nil
	})
}

// save stores a static role that the caller has changed a copy of.
func (r *static) save(tx engine.Tx) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return errs.Newf(errs.Internal, "encoding the static role %q: %w", r.name, err)
	}
	tx.Put(staticPrefix+r.name, raw)
	return nil
}

// writeStatic makes or changes a static role. A new one takes its user over:
// the password changes at once, unless that is to be skipped.
func (e *Engine) writeStatic(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	if err := checkName(name); err != nil {
		return nil, err
	}
	other, err := loadRole(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	if other != nil {
		return nil, errs.New(errs.Invalid, "Role and Static Role names must be unique")
	}
	old, err := loadStatic(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	r, was := &static{name: name}, time.Time{}
	if old != nil {
		*r, was = *old, old.Due
	}
	if err := r.apply(req, old == nil); err != nil {
		return nil, err
	}
	c, err := e.connect(ctx, tx, r, old == nil)
	if err != nil {
		return nil, err
	}
	if !c.Allows(name) {
		return notAllowed(name), nil
	}
	r.Reschedule(req.Time)
	emit(tx, req, "static-role-"+req.Operation.String(), name)
	t := e.staticTarget(r, c)
	if old == nil && !r.SkipImport {
		return e.takeOver(ctx, tx, t, req.Time)
	}
	return e.stored(tx, t, was)
}

// connect returns the connection of a static role, and claims its user.
func (e *Engine) connect(ctx context.Context, tx engine.Tx, r *static, creating bool) (*connection.Connection, error) {
	c, err := connection.Load(ctx, tx, r.DB)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, errs.New(errs.Invalid, "failed to find entry for connection: db_name must be one of those that config/ lists")
	}
	if !c.Allows(r.name) {
		return c, nil
	}
	return c, e.claim(ctx, tx, claim{r.name, r.Username}, c, creating)
}

// stored saves a static role as it is.
func (e *Engine) stored(tx engine.Tx, t *rotation.Target, was time.Time) (*engine.Response, error) {
	rotation.Requeue(tx, t.Subject, was, t.State.Due)
	return &engine.Response{After: func(context.Context) error { e.cfg.Wake(); return nil }}, t.Save(tx)
}

// takeOver begins the first change of a password. Where it is certain that
// nothing came of it, the role is removed again.
func (e *Engine) takeOver(ctx context.Context, tx engine.Tx, t *rotation.Target, now time.Time) (*engine.Response, error) {
	if err := e.rotator.Start(ctx, t, now); err != nil {
		return nil, err
	}
	rotation.Requeue(tx, t.Subject, time.Time{}, t.State.Due)
	return &engine.Response{After: func(ctx context.Context) error {
		err := e.rotator.CarryOut(ctx, t)
		if err == nil {
			return nil
		}
		gone := false
		update := e.cfg.Update(context.WithoutCancel(ctx), func(ctx context.Context, tx engine.Tx) error {
			gone = false
			now, err := e.load(ctx, tx, t.Subject)
			if err != nil || now == nil || now.State.Pending != "" || len(now.State.Claims) > 0 || !now.State.Last.IsZero() {
				return err
			}
			rotation.Requeue(tx, t.Subject, now.State.Due, time.Time{})
			tx.Delete(staticPrefix + t.Name)
			tx.Delete(userKey(t.Connection, t.Username))
			gone = true
			return nil
		})
		if update != nil || !gone {
			return errs.Newf(errs.KindOf(err), "the static role %q is stored, but it is not certain whether the password of its user was changed; it is being found out, see static-roles/%s: %w", t.Name, t.Name, err)
		}
		return errs.Newf(errs.KindOf(err), "the static role %q is not made, for the password of its user could not be changed: %w", t.Name, err)
	}}, t.Save(tx)
}

// apply changes what the request has.
func (r *static) apply(req *engine.Request, creating bool) error { //nolint:cyclop // a flat list of conditions
	d := req.Decode()
	username, db := d.String("username", r.Username), d.String("db_name", r.DB)
	r.SkipImport = d.Bool("skip_import_rotation", r.SkipImport)
	verify := d.Bool("verify_login", !r.SkipLogin)
	given := d.String("self_managed_password", "")
	r.SelfManaged = r.SelfManaged || given != ""
	if given == "" {
		given = d.String("password", "")
	}
	credential := r.credential.decode(&d)
	if d.Err() != nil {
		return d.Err()
	}
	if credential != nil {
		return credential
	}
	r.SkipLogin = !verify
	switch {
	case username == "":
		return errs.New(errs.Invalid, "username is a required field to create a static account")
	case db == "":
		return errs.New(errs.Invalid, "database name is a required field")
	case !creating && username != r.Username:
		return errs.New(errs.Invalid, "cannot update static account username")
	case !creating && db != r.DB:
		return errs.New(errs.Invalid, "cannot update static account database name")
	}
	r.Username, r.DB = username, db
	if given != "" {
		r.Password, r.Pending = given, ""
	}
	var err error
	if r.Statements, err = statement.Decode(req, r.Statements, "rotation_statements"); err != nil {
		return err
	}
	if err := r.State.Decode(req); err != nil {
		return err
	}
	if r.Period == 0 && r.Schedule == "" {
		return errs.New(errs.Invalid, "one of rotation_schedule or rotation_period must be provided to create a static account")
	}
	return nil
}

func (e *Engine) readStatic(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	r, err := loadStatic(ctx, tx, req.Params["name"])
	if err != nil || r == nil {
		return nil, err
	}
	o := engine.NewObject().
		Str("db_name", r.DB).
		Str("username", r.Username).
		Strs("rotation_statements", r.Statements).
		Bool("skip_import_rotation", r.SkipImport).
		Bool("self_managed", r.SelfManaged).
		Bool("verify_login", !r.SkipLogin)
	return &engine.Response{Data: r.Show(r.credential.show(o)).Value()}, nil
}

// deleteStatic forgets a static role. Its user stays, with the password it has.
func (e *Engine) deleteStatic(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	r, err := loadStatic(ctx, tx, name)
	if err != nil || r == nil {
		return nil, err
	}
	rotation.Requeue(tx, rotation.Subject{Name: name}, r.Due, time.Time{})
	tx.Delete(staticPrefix + name)
	tx.Delete(userKey(r.DB, r.Username))
	emit(tx, req, "static-role-delete", name)
	return nil, nil
}

// staticCreds gives the password in force. While it changes, a login tells which.
func (e *Engine) staticCreds(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	r, err := loadStatic(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	if r == nil {
		return nil, errs.Newf(errs.Invalid, "unknown role: %s", name)
	}
	c, err := connection.Load(ctx, tx, r.DB)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, connection.Unknown(r.DB)
	}
	if !c.Allows(name) {
		return notAllowed(name), nil
	}
	password := e.rotator.Current(ctx, e.staticTarget(r, c))
	if password == "" {
		return nil, errs.Newf(errs.Unavailable, "the password of the static role %q is not known before its first rotation; see static-roles/%s, or rotate it with rotate-role/%s", name, name, name)
	}
	o := engine.NewObject().Str("password", password)
	if !r.Last.IsZero() {
		o = o.Time("last_vault_rotation", r.Last)
	} else {
		o = o.Null("last_vault_rotation")
	}
	if r.Schedule != "" {
		o = o.Str("rotation_schedule", r.Schedule).Int("rotation_window", int64(r.Window/time.Second))
	} else {
		o = o.Int("rotation_period", int64(r.Period/time.Second))
	}
	return &engine.Response{Data: o.Int("ttl", r.TTL(req.Time)).Str("username", r.Username).Value()}, nil
}
