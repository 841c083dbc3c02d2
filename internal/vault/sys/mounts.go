package sys

import (
	"context"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/quota"
)

// mountRoutes serves sys/mounts (class Secret) and sys/auth (class Auth): the
// same table seen from two sides.
func (e *Engine) mountRoutes() []engine.Route {
	fields := []engine.Field{
		{Name: "path", Type: engine.String, Help: "where to mount it"},
		{Name: "type", Type: engine.String, Help: "which engine or method"},
		{Name: "description", Type: engine.String, Help: "what it is for, shown in listings"},
		{Name: "config", Type: engine.Object, Help: "tuning, as for the tune path"},
		{Name: "options", Type: engine.Map, Help: "options of the engine, for example version=2 for kv"},
		{Name: "local", Type: engine.Bool, Help: "accepted and shown; there is no replication"},
		{Name: "seal_wrap", Type: engine.Bool, Help: "accepted and shown; every entry is sealed"},
		{Name: "external_entropy_access", Type: engine.Bool, Help: "accepted; randomness is always the operating system's"},
		{Name: "plugin_name", Type: engine.String, Help: "older name of type"},
		{Name: "plugin_version", Type: engine.String, Help: "must be empty: engines are part of the program"},
	}
	routes := make([]engine.Route, 0, 12)
	for _, side := range []side{
		{"mounts", mount.Secret, "secrets engine", "No secret engine mount at "},
		{"auth", mount.Auth, "auth method", "No auth engine at "},
	} {
		routes = append(routes,
			engine.Route{
				Pattern: side.word, Summary: "List every mounted " + side.noun + ".", ReadOnly: true,
				Handlers: map[engine.Operation]engine.Handler{engine.Read: e.listMounts(side)},
			},
			engine.Route{
				Pattern: side.word + "/{path...}", Sudo: side.class == mount.Auth,
				Summary: "Mount, show or remove one " + side.noun + "; with /tune behind its path, read or change its tuning.",
				Fields:  append(fields, tuneFields()...),
				// mount.CleanPath drops it.
				Canonical: func(path string) string { return strings.TrimSuffix(path, "/") },
				Handlers: map[engine.Operation]engine.Handler{
					engine.Read:   tuned(e.readTune(side), e.readMount(side)),
					engine.Update: tuned(e.writeTune(side), e.addMount(side)),
					engine.Delete: e.removeMount(side),
				},
			})
	}
	return append(routes, engine.Route{
		Pattern: "remount", Sudo: true, Summary: "Move a mount to another path.",
		Fields: []engine.Field{
			{Name: "from", Type: engine.String, Help: "the present path"},
			{Name: "to", Type: engine.String, Help: "the new path"},
		},
		Handlers: map[engine.Operation]engine.Handler{engine.Update: e.remount},
	}, engine.Route{
		Pattern: "remount/status/{id}", Summary: "State of a move; it is complete when remount has answered.", ReadOnly: true,
		Handlers: map[engine.Operation]engine.Handler{engine.Read: e.remountStatus},
	})
}

// tuned calls tune for paths that end in /tune, else plain. A mount's path has
// any number of segments, so that one route serves both. Nothing can be mounted
// at a path of which the last segment is "tune".
func tuned(tune, plain engine.Handler) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		path, ok := strings.CutSuffix(strings.TrimSuffix(req.Params["path"], "/"), "/tune")
		if !ok {
			return plain(ctx, tx, req)
		}
		inner := *req
		inner.Params = map[string]string{"path": path}
		return tune(ctx, tx, &inner)
	}
}

// side is sys/mounts or sys/auth.
type side struct {
	word    string
	class   mount.Class
	noun    string
	missing string // what the Terraform provider takes for "no such mount"
}

// holds reports whether m is shown on this side. The token method is a system
// mount that lives among the auth methods.
func (s side) holds(m *mount.Mount) bool {
	return strings.HasPrefix(m.Path, mount.AuthPrefix) == (s.class == mount.Auth)
}

// full turns a path of this side into the table's.
func (s side) full(path string) (string, error) {
	if s.class == mount.Secret {
		// The official client reads and tunes auth methods as sys/mounts/auth/P.
		return mount.CleanPath(path)
	}
	clean, err := mount.CleanPath(path)
	return mount.AuthPrefix + clean, err
}

func (s side) shown(m *mount.Mount) string {
	if s.class == mount.Auth {
		return strings.TrimPrefix(m.Path, mount.AuthPrefix)
	}
	return m.Path
}

func (e *Engine) listMounts(s side) engine.Handler {
	return func(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
		listing := map[string]any{}
		for _, m := range e.cfg.Mounts.Table().In(req.Namespace) {
			if s.holds(m) {
				listing[s.shown(m)] = e.describe(m)
			}
		}
		return respond(listing, true)
	}
}

func (e *Engine) readMount(s side) engine.Handler {
	return func(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
		m, err := e.find(s, req)
		if err != nil {
			return nil, err
		}
		return respond(e.describe(m), true)
	}
}

// find returns the mount a request names.
func (e *Engine) find(s side, req *engine.Request) (*mount.Mount, error) {
	path, err := s.full(req.Params["path"])
	if err != nil {
		return nil, err
	}
	m := e.cfg.Mounts.Table().ByPath(req.Namespace, path)
	if m == nil {
		return nil, errs.New(errs.Invalid, s.missing+path)
	}
	return m, nil
}

// describe is one mount as sys/mounts and sys/auth show it (facts §2.5).
func (e *Engine) describe(m *mount.Mount) map[string]any {
	config := tuning(m)
	if len(m.Options) > 0 {
		delete(config, "options")
	}
	d := map[string]any{
		"type": m.Type, "description": m.Description, "accessor": m.Accessor, "uuid": m.ID,
		"local": m.Local, "seal_wrap": m.SealWrap, "external_entropy_access": false,
		"options": nil, "config": config,
		"plugin_version": "", "running_plugin_version": "v" + e.cfg.Version + "+builtin", "running_sha256": "",
		"deprecation_status": "supported",
	}
	if len(m.Options) > 0 {
		d["options"] = m.Options
	}
	return d
}

func (e *Engine) addMount(s side) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		path, err := s.full(req.Params["path"])
		if err != nil {
			return nil, err
		}
		if s.class == mount.Secret && strings.HasPrefix(path, mount.AuthPrefix) {
			return nil, errs.New(errs.Invalid, "auth methods are enabled at sys/auth/PATH, not at sys/mounts")
		}
		entry, err := newEntry(s, path, req)
		if err != nil {
			return nil, err
		}
		if err := e.vacant(ctx, tx, req.Namespace, path); err != nil {
			return nil, err
		}
		if !req.Namespace.Root() {
			entry.Namespace = req.Namespace.ID
		}
		return nil, e.cfg.Mounts.Add(ctx, tx, entry)
	}
}

func newEntry(s side, path string, req *engine.Request) (*mount.Entry, error) {
	d := req.Decode()
	entry := &mount.Entry{
		Class: s.class, Path: path,
		Type:        d.String("type", d.String("plugin_name", "")),
		Description: d.String("description", ""),
		Options:     d.StringMap("options"),
		Local:       d.Bool("local", false),
		SealWrap:    d.Bool("seal_wrap", false),
	}
	version := d.String("plugin_version", "")
	config := d.Raw("config")
	if err := d.Err(); err != nil {
		return nil, err
	}
	if version != "" {
		return nil, errs.New(errs.Invalid, "plugin_version must be empty: engines are part of the program, there are no plugins")
	}
	if entry.Type == "" {
		return nil, errs.Newf(errs.Invalid, "missing type: say which %s to mount", s.noun)
	}
	resolveAlias(entry)
	return entry, applyTuning(entry, config)
}

// resolveAlias accepts the names clients use for the two forms of kv.
func resolveAlias(e *mount.Entry) {
	version, ok := map[string]string{"kv-v1": "1", "kv-v2": "2", "generic": "1"}[e.Type]
	if !ok {
		return
	}
	e.Type = "kv"
	if e.Options == nil {
		e.Options = map[string]string{}
	}
	e.Options["version"] = version
}

func (e *Engine) removeMount(s side) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		path, err := s.full(req.Params["path"])
		if err != nil {
			return nil, err
		}
		m := e.cfg.Mounts.Table().ByPath(req.Namespace, path)
		switch {
		case m == nil:
			return nil, nil // removing what is not there has always been 204
		case !s.holds(m): // sys/auth needs sudo, which sys/mounts must not be a way around
			return nil, errs.Newf(errs.Invalid, "cannot unmount %q: disable an auth method at sys/auth", path)
		}
		if err := e.cfg.Leases.EndMount(ctx, m.ID); err != nil {
			return nil, errs.Newf(errs.KindOf(err), "cannot unmount %q while leases of it cannot be revoked (give them up by sys/leases/revoke-force/%s): %w", path, path, err)
		}
		if err := quota.Follow(ctx, e.cfg.Reads, tx, req.Namespace.Path+m.Path, ""); err != nil {
			return nil, err
		}
		return nil, e.cfg.Mounts.Remove(ctx, tx, m)
	}
}

func (e *Engine) remount(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	from, to := d.String("from", ""), d.String("to", "")
	if err := d.Err(); err != nil {
		return nil, err
	}
	from, err := mount.CleanPath(from)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "field from: %w", err)
	}
	if to, err = mount.CleanPath(to); err != nil {
		return nil, errs.Newf(errs.Invalid, "field to: %w", err)
	}
	m := e.cfg.Mounts.Table().ByPath(req.Namespace, from)
	switch {
	case m == nil:
		return nil, errs.Newf(errs.Invalid, "no mount at %q", from)
	case m.Fixed():
		return nil, errs.Newf(errs.Invalid, "cannot move %q: it is part of the system", from)
	case strings.HasPrefix(from, mount.AuthPrefix) != strings.HasPrefix(to, mount.AuthPrefix):
		return nil, errs.New(errs.Invalid, "an auth method moves only below auth/, a secrets engine only outside it")
	case strings.HasSuffix(to, "/tune/"):
		return nil, errs.Newf(errs.Invalid, "nothing can be mounted at %q: sys/mounts would take it for the tuning of another mount", to)
	}
	if err := e.vacant(ctx, tx, req.Namespace, to); err != nil {
		return nil, err
	}
	move := func(entry *mount.Entry) error { entry.Path = to; return nil }
	if err := e.cfg.Mounts.Update(ctx, tx, m.ID, move); err != nil {
		return nil, err
	}
	if err := quota.Follow(ctx, e.cfg.Reads, tx, req.Namespace.Path+from, req.Namespace.Path+to); err != nil {
		return nil, err
	}
	return respond(map[string]any{"migration_id": m.ID}, true)
}

// remountStatus answers for a mount that was moved. A move is done when remount
// has answered, so that its ID is the mount's, and nothing is kept for it.
func (e *Engine) remountStatus(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	m := e.cfg.Mounts.Table().ByID(req.Params["id"])
	if m == nil || e.cfg.Mounts.Table().ByPath(req.Namespace, m.Path) != m {
		return nil, nil
	}
	return respond(map[string]any{
		"migration_id":   m.ID,
		"migration_info": map[string]any{"status": "success", "source_mount": "", "target_mount": m.Path},
	}, false)
}
