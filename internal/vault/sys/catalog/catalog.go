package catalog

import (
	"context"
	"slices"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
)

// Config of Routes. All fields are set.
type Config struct {
	Mounts  *mount.Registry
	Version string // semver
}

// Routes are those below sys/.
func Routes(c Config) []engine.Route {
	const help = "Engines and methods are part of the program: there are no plugins, and none can be registered."
	kind := engine.Field{Name: "type", Type: engine.String, Help: "secret, auth or database"}
	return []engine.Route{
		{
			Pattern: "plugins/catalog", Summary: "What can be mounted and enabled.", Help: help, Sudo: true, ReadOnly: true,
			Handlers: map[engine.Operation]engine.Handler{engine.Read: c.all, engine.List: c.all},
		},
		{
			Pattern: "plugins/catalog/{type}", Summary: "What there is of one type.", Help: help, Sudo: true, ReadOnly: true, Fields: []engine.Field{kind},
			Handlers: map[engine.Operation]engine.Handler{engine.List: c.list},
		},
		{
			Pattern: "plugins/catalog/{type}/{name}", Summary: "One engine or method.", Help: help, Sudo: true, ReadOnly: true,
			Fields:   []engine.Field{kind, {Name: "name", Type: engine.String, Help: "of the engine or method"}, {Name: engine.AnyField, Help: "refused"}},
			Handlers: map[engine.Operation]engine.Handler{engine.Read: c.read, engine.Update: refuse, engine.Delete: refuse},
		},
	}
}

// types are the names of one type of plugin, sorted; ok is false if there is no
// such type. Databases are part of the database engine, which names them itself.
func (c Config) types(kind string) (names []string, ok bool) {
	switch kind {
	case "secret":
		return c.Mounts.Types(mount.Secret), true
	case "auth":
		return append([]string{"token"}, c.Mounts.Types(mount.Auth)...), true
	case "database":
		return []string{}, true
	}
	return nil, false
}

func (c Config) describe(name string) map[string]any {
	return map[string]any{
		"name": name, "builtin": true, "version": "v" + c.Version + "+builtin", "deprecation_status": "supported",
		"command": "", "args": []string{}, "sha256": "",
	}
}

func (c Config) all(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
	data := map[string]any{}
	detailed := []any{}
	for _, kind := range []string{"auth", "database", "secret"} {
		names, _ := c.types(kind)
		data[kind] = names
		for _, name := range names {
			d := c.describe(name)
			d["type"] = kind
			detailed = append(detailed, d)
		}
	}
	data["detailed"] = detailed
	return respond(data)
}

func (c Config) list(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	names, ok := c.types(req.Params["type"])
	if !ok {
		return nil, errs.New(errs.Invalid, "the type of a plugin is secret, auth or database")
	}
	if len(names) == 0 {
		return nil, nil
	}
	return respond(map[string]any{"keys": names})
}

func (c Config) read(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	names, ok := c.types(req.Params["type"])
	if !ok || !slices.Contains(names, req.Params["name"]) {
		return nil, nil
	}
	return respond(c.describe(req.Params["name"]))
}

func refuse(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
	return nil, errs.New(errs.Invalid, "there are no plugins: engines and methods are part of the program, and none can be registered or removed")
}

func respond(data any) (*engine.Response, error) {
	raw, err := engine.JSON(data)
	return &engine.Response{Data: raw}, err
}
