package node

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// Config of Routes. All fields are set, but for Shared.
type Config struct {
	Level   *slog.LevelVar // of the server's log
	Started slog.Leveler   // what the configuration says it is
	// Sanitized is the server's configuration, without anything that is secret.
	Sanitized map[string]any
	Dir       string // whose disk host-info tells of
	Now       func() time.Time
	Shared    bool // other nodes may serve the same store
}

// Routes are those below sys/.
func Routes(c Config) []engine.Route {
	type handlers = map[engine.Operation]engine.Handler
	level := engine.Field{Name: "level", Type: engine.String, Help: "debug, info, warn or error"}
	name := engine.Field{Name: "name", Type: engine.String, Help: "server, the only one"}
	return []engine.Route{
		{
			Pattern: "loggers", Sudo: true, Summary: "The level of the server's log; changed until the next start, DELETE goes back to the configured one.",
			Fields: []engine.Field{level}, Handlers: handlers{engine.Read: c.levels, engine.Update: c.setLevel, engine.Delete: c.resetLevel},
		},
		{
			Pattern: "loggers/{name}", Sudo: true, Summary: "The level of one logger. There is one: server.",
			Fields: []engine.Field{name, level}, Handlers: handlers{engine.Read: c.levels, engine.Update: c.setLevel, engine.Delete: c.resetLevel},
		},
		{
			Pattern: "host-info", Sudo: true, ReadOnly: true, Summary: "The machine: its processors, memory, disk and system.",
			Handlers: handlers{engine.Read: c.host},
		},
		{
			Pattern: "config/state/sanitized", Sudo: true, ReadOnly: true, Summary: "The configuration of the server, without anything secret.",
			Handlers: handlers{engine.Read: func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
				return respond(c.Sanitized)
			}},
		},
		{
			Pattern: "version-history", ReadOnly: true, Summary: "The versions of the server that opened this vault.",
			Handlers: handlers{engine.List: versions, engine.Read: versions},
		},
	}
}

const logger = "server"

// known refuses loggers that there are not.
func known(req *engine.Request) error {
	if name := req.Params["name"]; name != "" && name != logger {
		return errs.Newf(errs.NotExist, "logger %.40q not found: there is one, %q", name, logger)
	}
	return nil
}

func (c Config) levels(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	if err := known(req); err != nil {
		return nil, err
	}
	return respond(map[string]any{logger: strings.ToLower(c.Level.Level().String())})
}

// setLevel changes nothing that is stored, so that a request that is not audited
// must not change it either: it happens after the commit.
func (c Config) setLevel(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	text := d.String("level", "")
	if err := d.Err(); err != nil {
		return nil, err
	}
	if err := known(req); err != nil {
		return nil, err
	}
	level, ok := map[string]slog.Level{
		"trace": slog.LevelDebug, "debug": slog.LevelDebug, "info": slog.LevelInfo, "notice": slog.LevelInfo,
		"warn": slog.LevelWarn, "warning": slog.LevelWarn, "err": slog.LevelError, "error": slog.LevelError,
	}[strings.ToLower(text)]
	if !ok {
		return nil, errs.Newf(errs.Invalid, "unknown level %.20q: use debug, info, warn or error", text)
	}
	return c.after(level), nil
}

func (c Config) resetLevel(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	if err := known(req); err != nil {
		return nil, err
	}
	return c.after(c.Started.Level()), nil
}

func (c Config) after(level slog.Level) *engine.Response {
	return &engine.Response{After: func(context.Context) error {
		c.Level.Set(level)
		return nil
	}}
}

func respond(data any) (*engine.Response, error) {
	raw, err := engine.JSON(data)
	return &engine.Response{Data: raw}, err
}
