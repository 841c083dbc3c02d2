package database

import (
	"context"
	"encoding/hex"
	"io"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/connection"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver/statement"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/rotation"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/username"
)

func (e *Engine) configFields() []engine.Field {
	fields := append([]engine.Field{
		{Name: "plugin_name", Help: "The kind of database: " + strings.Join(e.servers.Kinds(), ", ") + "."},
		{Name: "plugin_version", Help: "Ignored: the databases are built in."},
		{Name: "allowed_roles", Type: engine.Strings, Help: "Roles that may use the connection, with * for anything.", Default: "none"},
		{Name: "verify_connection", Type: engine.Bool, Help: "Log in before the configuration is stored.", Default: "true"},
		{Name: "username", Help: "Who the vault logs in as."},
		{Name: "password", Secret: true, Help: "Its password, never shown again."},
		{Name: "root_rotation_statements", Type: engine.Strings, Help: "Statements that change the password of that user."},
		{Name: "password_policy", Help: "The policy that passwords are made by.", Default: "the vault's own"},
		{Name: "username_template", Help: "The template of names of dynamic users."},
		{Name: "disable_automated_rotation", Type: engine.Bool, Help: "Stop the rotation by period or schedule."},
	}, rotation.Fields()...)
	return append(fields, e.servers.Fields()...)
}

// writeConfig makes or changes a connection; what a request leaves out stays.
func (e *Engine) writeConfig(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	if err := checkName(name); err != nil {
		return nil, err
	}
	old, err := connection.Load(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	c := &connection.Connection{Name: name, Verify: true}
	if old != nil {
		*c = *old
	}
	if c.ID, err = e.id(); err != nil {
		return nil, err
	}
	if err := e.decodeConnection(c, req); err != nil {
		return nil, err
	}
	if err := c.State.Decode(req); err != nil {
		return nil, err
	}
	c.Off = c.DisableRotation
	if _, err := e.servers.At(c).Open(c.Username, c.Password); err != nil {
		return nil, errs.Newf(errs.Invalid, "error creating database object: %w", err)
	}
	if err := e.guard(ctx, tx, old, c, req); err != nil {
		return nil, err
	}
	if c.Verify {
		if err := e.verify(ctx, c); err != nil {
			return nil, err
		}
	}
	was := time.Time{}
	if old != nil {
		was = old.Due
	}
	c.Reschedule(req.Time)
	rotation.Requeue(tx, rotation.Subject{Root: true, Name: name}, was, c.Due)
	emit(tx, req, "config-write", name)
	return &engine.Response{Warnings: warnings(c), After: func(context.Context) error {
		e.servers.Drop(name)
		e.cfg.Wake()
		return nil
	}}, c.Save(tx)
}

// verify logs in once, on a connection of its own.
func (e *Engine) verify(ctx context.Context, c *connection.Connection) error {
	ctx, cancel := context.WithTimeout(ctx, driver.LoginTimeout)
	defer cancel()
	err := e.servers.At(c).Login(ctx, c.Username, c.Password)
	if c.Pending != "" && driver.IsPassword(err) {
		err = e.servers.At(c).Login(ctx, c.Username, c.Pending)
	}
	if err != nil {
		return errs.Newf(errs.Invalid, "error creating database object: error verifying connection: %w", err)
	}
	return nil
}

// decodeConnection applies a request to a connection.
func (e *Engine) decodeConnection(c *connection.Connection, req *engine.Request) error {
	d := req.Decode()
	c.Plugin = d.String("plugin_name", c.Plugin)
	c.PasswordPolicy = d.String("password_policy", c.PasswordPolicy)
	c.Template = d.String("username_template", c.Template)
	c.Verify = d.Bool("verify_connection", c.Verify)
	c.DisableRotation = d.Bool("disable_automated_rotation", c.DisableRotation)
	c.Username = d.String("username", c.Username)
	if d.Has("allowed_roles") {
		c.AllowedRoles = d.Strings("allowed_roles")
	}
	if d.Has("password") {
		c.Password, c.Pending = d.String("password", ""), ""
	}
	if err := d.Err(); err != nil {
		return err
	}
	var err error
	if c.RootStatements, err = statement.Decode(req, c.RootStatements, "root_rotation_statements", "root_credentials_rotate_statements"); err != nil {
		return err
	}
	if c.Plugin == "" {
		return errs.New(errs.Invalid, "empty plugin name")
	}
	kind, err := e.servers.Kind(c.Plugin)
	if err != nil {
		return err
	}
	if c.Template != "" {
		if err := username.Template(c.Template).Check(e.source(req.Time)); err != nil {
			return err
		}
	}
	c.Merge(req.Body, kind)
	_, err = c.Pool()
	return err
}

// id draws a name that nothing else has.
func (e *Engine) id() (string, error) {
	raw := make([]byte, 12)
	if _, err := io.ReadFull(e.cfg.Random, raw); err != nil {
		return "", errs.Newf(errs.Internal, "reading randomness: %w", err)
	}
	return hex.EncodeToString(raw), nil
}

func (e *Engine) source(now time.Time) username.Source {
	return username.Source{Random: e.cfg.Random, Now: now}
}

// warnings tells of what is allowed and yet better done otherwise.
func warnings(c *connection.Connection) []string {
	if connection.MaskURL(c.URL()) != c.URL() {
		return []string{"Password found in connection_url, use a templated url to enable root rotation and prevent read access to password information."}
	}
	return nil
}

// readConfig shows a connection, without anything secret.
func (e *Engine) readConfig(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	c, err := connection.Load(ctx, tx, req.Params["name"])
	if err != nil || c == nil {
		return nil, err
	}
	shown := engine.NewObject()
	if c.Username != "" {
		shown = shown.Str("username", c.Username)
	}
	if c.Template != "" {
		shown = shown.Str("username_template", c.Template)
	}
	kind, err := e.servers.Kind(c.Plugin)
	if err != nil {
		return nil, err
	}
	for _, f := range connection.Details(kind) {
		switch value := c.Details[f.Name]; {
		case value == nil || f.Secret:
		case f.Name == "connection_url":
			shown = shown.Str(f.Name, connection.MaskURL(c.URL()))
		default:
			shown = shown.Raw(f.Name, value)
		}
	}
	o := engine.NewObject().
		Strs("allowed_roles", c.AllowedRoles).
		Obj("connection_details", shown).
		Str("password_policy", c.PasswordPolicy).
		Str("plugin_name", c.Plugin).
		Str("plugin_version", "").
		Strs("root_credentials_rotate_statements", c.RootStatements).
		Bool("verify_connection", c.Verify).
		Bool("disable_automated_rotation", c.DisableRotation)
	return &engine.Response{Data: c.Show(o).Value()}, nil
}

// deleteConfig forgets a connection. Its roles stay, and fail until it is back.
func (e *Engine) deleteConfig(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	c, err := connection.Load(ctx, tx, name)
	if err != nil || c == nil {
		return nil, err
	}
	rotation.Requeue(tx, rotation.Subject{Root: true, Name: name}, c.Due, time.Time{})
	tx.Delete(connection.Prefix + name)
	emit(tx, req, "config-delete", name)
	return e.afterDrop(name), nil
}

// reset closes a connection; the next request opens it anew.
func (e *Engine) reset(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	name := req.Params["name"]
	c, err := connection.Load(ctx, tx, name)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, connection.Unknown(name)
	}
	return e.afterDrop(name), nil
}

func (e *Engine) afterDrop(name string) *engine.Response {
	return &engine.Response{After: func(context.Context) error {
		e.servers.Drop(name)
		return nil
	}}
}
