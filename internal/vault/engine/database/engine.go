package database

import (
	"context"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

// Timeouts of what is asked of a database.
const (
	loginTimeout = 10 * time.Second // of a login alone
	callTimeout  = 30 * time.Second // of making, changing or removing a user
	readTimeout  = 3 * time.Second  // of the logins that find out which of two passwords works, while a client waits
)

// Engine is one mount.
type Engine struct {
	cfg   engine.Config
	types map[string]*driver.Type // by every name
	pools *pools
	turns turns
}

var (
	_ engine.Leaser = (*Engine)(nil)
	_ engine.Worker = (*Engine)(nil)
)

// New returns the factory of engines that know these kinds of databases.
func New(types ...driver.Type) engine.Factory {
	byName := map[string]*driver.Type{}
	for _, kind := range types {
		for _, name := range kind.Names {
			byName[name] = &kind
		}
	}
	return func(cfg engine.Config) (engine.Engine, error) {
		return &Engine{cfg: cfg, types: byName, pools: newPools()}, nil
	}
}

// Close implements engine.Engine.
func (e *Engine) Close() error {
	e.pools.close()
	return nil
}

// kind returns the kind of database that plugin_name says.
func (e *Engine) kind(plugin string) (*driver.Type, error) {
	if t := e.types[plugin]; t != nil {
		return t, nil
	}
	return nil, errs.Newf(errs.Invalid, "plugin_name must be one of the databases built in: %s", strings.Join(e.kinds(), ", "))
}

// use calls f with the database of a connection, within a timeout. While the
// password of the connection's own user is changing, the new one is tried where
// the old one is refused.
func (e *Engine) use(ctx context.Context, c *connection, timeout time.Duration, f func(context.Context, driver.Database) error) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := e.with(ctx, c, c.Password, f)
	if c.Pending != "" && isPassword(err) {
		return e.with(ctx, c, c.Pending, f)
	}
	return err
}

func (e *Engine) with(ctx context.Context, c *connection, password string, f func(context.Context, driver.Database) error) error {
	p, err := e.pools.get(c, password, func() (driver.Database, error) { return e.open(c, c.Username, password) })
	if err != nil {
		return err
	}
	defer e.pools.put(p)
	return f(ctx, p.db)
}

// login proves that a user can log in with a password, on a connection of its own.
func (e *Engine) login(ctx context.Context, c *connection, username, password string) error {
	db, err := e.open(c, username, password)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Ping(ctx)
}
