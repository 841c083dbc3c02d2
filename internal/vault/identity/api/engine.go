package api

import (
	"context"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/identity"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
)

// Config is what the engine works with besides its mount.
type Config struct {
	Identity *identity.Manager
	Mounts   *mount.Registry
}

// New returns the factory for the mount.
func New(cfg Config) engine.Factory {
	return func(own engine.Config) (engine.Engine, error) { return &Engine{cfg, own}, nil }
}

// Engine serves identity/.
type Engine struct {
	Config
	mount engine.Config
}

// Close has nothing to stop.
func (*Engine) Close() error { return nil }

type handlers = map[engine.Operation]engine.Handler

// Routes implements engine.Engine.
func (e *Engine) Routes() []engine.Route {
	var all []engine.Route
	for _, group := range [][]engine.Route{
		e.entityRoutes(), e.entityAliasRoutes(), e.groupRoutes(), e.groupAliasRoutes(), e.otherRoutes(),
	} {
		all = append(all, group...)
	}
	return all
}

func (e *Engine) otherRoutes() []engine.Route {
	by := func(noun string) []engine.Field {
		return []engine.Field{
			{Name: "id", Type: engine.String, Help: "ID of the " + noun},
			{Name: "name", Type: engine.String, Help: "name of the " + noun},
			{Name: "alias_id", Type: engine.String, Help: "ID of an alias of it"},
			{Name: "alias_name", Type: engine.String, Help: "name of an alias of it, with alias_mount_accessor"},
			{Name: "alias_mount_accessor", Type: engine.String, Help: "accessor of the auth mount of the alias"},
		}
	}
	return []engine.Route{
		{
			Pattern: "lookup/entity", Summary: "Find an entity by its id, its name or an alias.", Fields: by("entity"),
			Handlers: handlers{engine.Update: e.lookupEntity},
		},
		{
			Pattern: "lookup/group", Summary: "Find a group by its id, its name or its alias.", Fields: by("group"),
			Handlers: handlers{engine.Update: e.lookupGroup},
		},
		{
			Pattern: "config", Summary: "How long entities are kept that nobody uses any more.",
			Fields: []engine.Field{{
				Name: "ephemeral_retention", Type: engine.Duration, Default: "30d",
				Help: "after the last token of an entity ended, if only logins made it and none of its aliases can come back; 0 = for ever",
			}},
			Handlers: handlers{engine.Read: e.readConfig, engine.Update: e.writeConfig},
		},
	}
}

func (e *Engine) readConfig(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	c, err := identity.In(tx, req.Namespace.ID).Config(ctx)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: engine.NewObject().Int("ephemeral_retention", c.Retention).Value()}, nil
}

func (e *Engine) writeConfig(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	x := e.Identity.Edit(tx, req.Namespace.ID)
	c, err := x.Config(ctx)
	if err != nil {
		return nil, err
	}
	d := req.Decode()
	c.Retention = int64(d.Duration("ephemeral_retention", time.Duration(c.Retention)*time.Second) / time.Second)
	if err := d.Err(); err != nil {
		return nil, err
	}
	return nil, x.PutConfig(c)
}

// Work removes what is left of mounts and groups that are gone. The gate wakes
// it when a mount is removed.
func (e *Engine) Work(ctx context.Context) (time.Time, error) {
	update := func(ctx context.Context, change func(context.Context, identity.Tx) error) error {
		return e.mount.Duty(ctx, func(ctx context.Context, tx engine.Tx) error { return change(ctx, tx) })
	}
	// What the table does not show may have been mounted by another node since.
	known := false
	return time.Time{}, e.Identity.Sweep(ctx, reader{e.mount.Duty}, update, func(accessor string) bool {
		if accessors(e.Mounts.Table().All())[accessor] == nil && !known {
			if e.Mounts.Reload(ctx) != nil {
				return true // not now
			}
			known = true
		}
		return accessors(e.Mounts.Table().All())[accessor] != nil
	})
}

// reader reads outside of any request.
type reader struct {
	update func(context.Context, func(context.Context, engine.Tx) error) error
}

func (r reader) Get(ctx context.Context, key string) (found engine.Entry, err error) {
	err = r.update(ctx, func(ctx context.Context, tx engine.Tx) error {
		found, err = tx.Get(ctx, key)
		return err
	})
	return found, err
}

func (r reader) List(ctx context.Context, folder, after string, limit int) (names []string, err error) {
	err = r.update(ctx, func(ctx context.Context, tx engine.Tx) error {
		names, err = tx.List(ctx, folder, after, limit)
		return err
	})
	return names, err
}

// accessors are the mounts of a namespace that aliases can be of: auth methods and tokens.
func (e *Engine) accessors(ns engine.Namespace) map[string]*mount.Mount {
	return accessors(e.Mounts.Table().In(ns))
}

func accessors(mounts []*mount.Mount) map[string]*mount.Mount {
	all := map[string]*mount.Mount{}
	for _, m := range mounts {
		if m.Class == mount.Auth || m.Path == mount.AuthPrefix+"token/" {
			all[m.Accessor] = m
		}
	}
	return all
}

// respond encodes data.
func respond(data map[string]any) (*engine.Response, error) {
	encoded, err := engine.JSON(data)
	if err != nil {
		return nil, err
	}
	return &engine.Response{Data: encoded}, nil
}

// list is never nil, so that clients get [].
func list(l []string) []string {
	if l == nil {
		return []string{}
	}
	return l
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
