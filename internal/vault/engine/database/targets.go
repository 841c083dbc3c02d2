package database

import (
	"context"
	"errors"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/connection"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/rotation"
)

// load is the engine's rotation.Load.
func (e *Engine) load(ctx context.Context, tx engine.Tx, s rotation.Subject) (*rotation.Target, error) {
	if s.Root {
		c, err := connection.Load(ctx, tx, s.Name)
		if err != nil || c == nil {
			return nil, err
		}
		own := *c
		return e.rootTarget(&own), nil
	}
	r, err := loadStatic(ctx, tx, s.Name)
	if err != nil || r == nil {
		return nil, err
	}
	c, err := connection.Load(ctx, tx, r.DB)
	if err != nil {
		return nil, err
	}
	own := *r
	return e.staticTarget(&own, c), nil
}

// rootTarget is a connection's own user. A new password makes it a new
// configuration: nobody is to use what is open with the old one.
func (e *Engine) rootTarget(c *connection.Connection) *rotation.Target {
	was := c.Password
	return &rotation.Target{
		Subject: rotation.Subject{Root: true, Name: c.Name}, State: &c.State, Connection: c.Name, Server: e.servers.At(c),
		Username: c.Username, Policy: c.PasswordPolicy, Statements: c.RootStatements,
		Save: func(tx engine.Tx) (err error) {
			if c.Password != was {
				if c.ID, err = e.id(); err != nil {
					return err
				}
			}
			return c.Save(tx)
		},
	}
}

// staticTarget is the user of a static role; c is nil where its connection is not
// configured.
func (e *Engine) staticTarget(r *static, c *connection.Connection) *rotation.Target {
	t := &rotation.Target{
		Subject: rotation.Subject{Name: r.name}, State: &r.State, Connection: r.DB, Server: connection.Missing(r.DB),
		Username: r.Username, Statements: r.Statements, SelfManaged: r.SelfManaged, SkipLogin: r.SkipLogin, Save: r.save,
	}
	if c != nil {
		t.Server, t.Policy = e.servers.At(c), r.policy(c)
	}
	return t
}

// rotateNow answers rotate-root and rotate-role: step 1 here, the rest behind
// the commit.
func (e *Engine) rotateNow(root bool) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		name := req.Params["name"]
		t, err := e.load(ctx, tx, rotation.Subject{Root: root, Name: name})
		switch {
		case err != nil:
			return nil, err
		case t == nil && root:
			return nil, connection.Unknown(name)
		case t == nil:
			return nil, errs.New(errs.Invalid, "no static role found for role name")
		case root && (t.Username == "" || t.State.Password == ""):
			return nil, errs.New(errs.Invalid, "unable to rotate root credentials: no username and password in configuration")
		}
		was := t.State.Due
		if err := e.rotator.Start(ctx, t, req.Time); err != nil {
			return nil, err
		}
		rotation.Requeue(tx, t.Subject, was, t.State.Due)
		operation := "rotate"
		if root {
			operation = "root-rotate"
		}
		emit(tx, req, operation, name)
		return &engine.Response{After: func(ctx context.Context) error { return e.rotator.CarryOut(ctx, t) }}, t.Save(tx)
	}
}

// Work implements engine.Worker.
func (e *Engine) Work(ctx context.Context) (time.Time, error) {
	next, err := e.rotator.Work(ctx)
	again, actErr := e.actor.Work(ctx)
	if next.IsZero() || !again.IsZero() && again.Before(next) {
		next = again
	}
	return next, errors.Join(err, actErr)
}
