package database

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/alternating"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/connection"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/rotation"
)

// Engine is one mount.
type Engine struct {
	cfg     engine.Config
	servers *connection.Servers
	rotator *rotation.Rotator
	actor   *alternating.Actor
}

var (
	_ engine.Leaser = (*Engine)(nil)
	_ engine.Worker = (*Engine)(nil)
)

// New returns the factory of engines that know these kinds of databases.
func New(types ...driver.Type) engine.Factory {
	return func(cfg engine.Config) (engine.Engine, error) {
		e := &Engine{cfg: cfg, servers: connection.NewServers(types)}
		e.rotator = rotation.New(cfg, e.load)
		e.actor = alternating.New(cfg, e.findAlternating)
		return e, nil
	}
}

// Close implements engine.Engine.
func (e *Engine) Close() error {
	e.servers.Close()
	return nil
}

// use calls f with the database of a connection.
func (e *Engine) use(ctx context.Context, c *connection.Connection, f func(context.Context, driver.Database) error) error {
	return e.servers.At(c).Use(ctx, driver.CallTimeout, f)
}
