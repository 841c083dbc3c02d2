package namespaces

import (
	"context"
	"maps"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/quota"
)

// Config of Routes. All fields are set.
type Config struct {
	Mounts     *mount.Registry
	Namespaces *namespace.Registry
	Policies   *policy.Book
	Leases     *lease.Manager
	Reads      quota.Reader // the whole store, outside of transactions
}

// Routes are those below sys/: they serve the namespaces below that of the request; paths are
// relative to it.
func Routes(c Config) []engine.Route {
	path := engine.Field{Name: "path", Type: engine.String, Help: "the namespace, relative to that of the request"}
	key := engine.Field{Name: "unlock_key", Type: engine.String, Secret: true, Help: "what lock answered; root and sudo need none"}
	type handlers = map[engine.Operation]engine.Handler
	routes := []engine.Route{
		{
			Pattern: "namespaces", ReadOnly: true, Summary: "List the namespaces below that of the request.",
			Fields:   []engine.Field{{Name: "recursive", Type: engine.Bool, Help: "those below them, too"}},
			Handlers: handlers{engine.List: c.list, engine.Read: c.list},
		},
	}
	for _, below := range []string{"", "/{path...}"} {
		routes = append(routes,
			engine.Route{
				Pattern: "namespaces/api-lock/lock" + below, Fields: []engine.Field{path},
				Summary:  "Lock the API for a namespace and all within it; answers the key that unlocks it.",
				Handlers: handlers{engine.Update: c.lock},
			},
			engine.Route{
				Pattern: "namespaces/api-lock/unlock" + below, Fields: []engine.Field{path, key},
				Summary:  "Unlock the API for a namespace.",
				Handlers: handlers{engine.Update: c.unlock},
			})
	}
	return append(routes, engine.Route{
		Pattern: "namespaces/{path...}", Summary: "Create, show, change or delete a namespace.",
		Fields: []engine.Field{path, {Name: "custom_metadata", Type: engine.Map, Help: "names and values of your own"}},
		Exists: c.exists, Canonical: func(path string) string { return strings.TrimSuffix(path, "/") },
		Handlers: handlers{
			engine.Read: c.read, engine.Create: c.create, engine.Update: c.update,
			engine.Patch: c.patch, engine.Delete: c.remove,
		},
	})
}

// described is one namespace as answers show it (path as from the root).
func described(ns *namespace.Entry) map[string]any {
	metadata := ns.Metadata
	if metadata == nil {
		metadata = map[string]string{}
	}
	return map[string]any{"id": ns.ID, "uuid": ns.UUID, "path": ns.Path, "custom_metadata": metadata, "locked": ns.Lock != nil}
}

func (c Config) list(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	recursive := d.Bool("recursive", false)
	if err := d.Err(); err != nil {
		return nil, err
	}
	table := c.Namespaces.Table()
	found := table.Children(req.Namespace.Path)
	if recursive {
		found = table.Descendants(req.Namespace.Path)
	}
	keys, info := make([]string, 0, len(found)), make(map[string]any, len(found))
	for _, ns := range found {
		name := strings.TrimPrefix(ns.Path, req.Namespace.Path)
		keys, info[name] = append(keys, name), described(ns)
	}
	if len(keys) == 0 {
		return nil, nil
	}
	return respond(map[string]any{"keys": keys, "key_info": info})
}

// named returns the absolute path of the namespace that a request is about, and
// its entry, nil if there is none.
func (c Config) named(req *engine.Request) (string, *namespace.Entry, error) {
	path, err := namespace.CleanPath(req.Params["path"])
	if err != nil {
		return "", nil, err
	}
	path = req.Namespace.Path + path
	return path, c.Namespaces.Table().ByPath(path), nil
}

func (c Config) exists(_ context.Context, _ engine.Tx, req *engine.Request) (bool, error) {
	_, ns, err := c.named(req)
	return ns != nil, err
}

func (c Config) read(_ context.Context, _ engine.Tx, req *engine.Request) (*engine.Response, error) {
	_, ns, err := c.named(req)
	if err != nil || ns == nil {
		return nil, err
	}
	return respond(described(ns))
}

// create makes the namespace and its default policy. Its system mounts
// are those of the root and need nothing.
func (c Config) create(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	path, _, err := c.named(req)
	if err != nil {
		return nil, err
	}
	d := req.Decode()
	metadata := d.StringMap("custom_metadata")
	if err := d.Err(); err != nil {
		return nil, err
	}
	if err := namespace.CheckMetadata(metadata); err != nil {
		return nil, err
	}
	ns, err := c.Namespaces.Add(ctx, tx, path, metadata)
	if errs.Is(err, errs.NotExist) {
		err = errs.As(errs.Invalid, err) // a 404 would say that there is no such API
	}
	if err != nil {
		return nil, err
	}
	if err := c.free(ctx, tx, ns); err != nil {
		return nil, err
	}
	if _, err := c.Policies.Put(tx, policy.Namespace(ns.Namespace()), policy.DefaultName, policy.DefaultText); err != nil {
		return nil, err
	}
	return respond(described(ns))
}

// free refuses a namespace whose name is, in the namespace above it, that of a mount.
func (c Config) free(ctx context.Context, tx engine.Tx, ns *namespace.Entry) error {
	mounts, err := c.Mounts.Fresh(ctx, tx)
	if err != nil {
		return err
	}
	above := namespace.Root
	if p := c.Namespaces.Table().ByPath(ns.Parent()); p != nil {
		above = p.Namespace()
	}
	if m := mounts.Below(above, strings.TrimPrefix(ns.Path, above.Path)); m != nil {
		return errs.Newf(errs.Invalid, "cannot create namespace %q: path is already in use at %s", ns.Path, m.Path)
	}
	return nil
}

// update replaces the custom_metadata, if it is given; to create what
// exists already is no error.
func (c Config) update(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	metadata := d.StringMap("custom_metadata")
	if err := d.Err(); err != nil {
		return nil, err
	}
	return c.change(ctx, tx, req, func(map[string]string) (map[string]string, error) { return metadata, nil })
}

// patch is a merge patch (RFC 7396) of custom_metadata.
func (c Config) patch(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	return c.change(ctx, tx, req, func(old map[string]string) (map[string]string, error) {
		patch := req.Body.Field("custom_metadata")
		if patch == nil {
			return nil, nil
		}
		merged := maps.Clone(old)
		if merged == nil {
			merged = map[string]string{}
		}
		err := engine.Members(patch, func(name string, value jsontext.Value) error {
			if value.Kind() == 'n' {
				delete(merged, name)
				return nil
			}
			if value.Kind() != '"' {
				return errs.New(errs.Invalid, "the values of custom_metadata are strings, or null to remove one")
			}
			text, err := jsontext.AppendUnquote(nil, value)
			merged[name] = string(text)
			return err
		})
		return merged, err
	})
}

// change replaces the metadata of a namespace by what becomes of it; nil leaves it.
func (c Config) change(ctx context.Context, tx engine.Tx, req *engine.Request, become func(map[string]string) (map[string]string, error)) (*engine.Response, error) {
	_, ns, err := c.named(req)
	if err != nil || ns == nil {
		return nil, err
	}
	var shown *namespace.Entry
	err = c.Namespaces.Update(ctx, tx, ns.ID, func(entry *namespace.Entry) error {
		metadata, err := become(entry.Metadata)
		if err != nil {
			return err
		}
		if metadata != nil {
			entry.Metadata = metadata
		}
		shown = entry
		return namespace.CheckMetadata(entry.Metadata)
	})
	if err != nil {
		return nil, err
	}
	return respond(described(shown))
}

// remove removes a namespace that has none below it. What belonged to
// it cannot be reached from then on and is deleted in the background.
func (c Config) remove(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	_, ns, err := c.named(req)
	if err != nil || ns == nil {
		return nil, err // deleting what is not there is what was asked for
	}
	if len(c.Namespaces.Table().Children(ns.Path)) > 0 {
		return nil, c.Namespaces.Remove(ctx, tx, ns.ID) // refuses, before leases end for nothing
	}
	for _, m := range c.Mounts.Table().Own(ns.ID) {
		if err := c.Leases.EndMount(ctx, m.ID); err != nil {
			return nil, errs.Newf(errs.KindOf(err), "cannot delete the namespace while leases of its mount %q cannot be revoked (give them up by sys/leases/revoke-force/%s): %w", m.Path, m.Path, err)
		}
	}
	if err := quota.Follow(ctx, c.Reads, tx, ns.Path, ""); err != nil {
		return nil, err
	}
	return nil, c.Namespaces.Remove(ctx, tx, ns.ID)
}

// lockable returns the namespace that a lock or unlock is about: the one named,
// or that of the request.
func (c Config) lockable(req *engine.Request) (*namespace.Entry, error) {
	if req.Params["path"] != "" {
		_, ns, err := c.named(req)
		if err == nil && ns == nil {
			err = errs.New(errs.Invalid, "there is no such namespace")
		}
		return ns, err
	}
	ns := c.Namespaces.Table().Entry(req.Namespace.ID)
	if ns == nil {
		return nil, errs.New(errs.Invalid, "the root namespace cannot be locked; to stop everything use sys/seal")
	}
	return ns, nil
}

func (c Config) lock(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	ns, err := c.lockable(req)
	if err != nil {
		return nil, err
	}
	lock, key, err := c.Namespaces.NewLock()
	if err != nil {
		return nil, err
	}
	err = c.Namespaces.Update(ctx, tx, ns.ID, func(entry *namespace.Entry) error {
		if entry.Lock != nil {
			return errs.Newf(errs.Invalid, "namespace %q is already locked", entry.Path)
		}
		entry.Lock = lock
		return nil
	})
	if err != nil {
		return nil, err
	}
	return respond(map[string]any{"unlock_key": key.RevealString()})
}

func (c Config) unlock(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	key := redact.FromString(d.String("unlock_key", ""))
	if err := d.Err(); err != nil {
		return nil, err
	}
	ns, err := c.lockable(req)
	if err != nil {
		return nil, err
	}
	return nil, c.Namespaces.Update(ctx, tx, ns.ID, func(entry *namespace.Entry) error {
		switch {
		case entry.Lock == nil:
			return errs.Newf(errs.Invalid, "namespace %q is not locked", entry.Path)
		case !entry.Lock.Opens(key) && (!key.Empty() || !req.Caller.Root && !req.Caller.Sudo):
			return errs.New(errs.Invalid, "incorrect unlock key: give the key that locking answered; only root and sudo need none")
		}
		entry.Lock = nil
		return nil
	})
}

func respond(data any) (*engine.Response, error) {
	raw, err := engine.JSON(data)
	return &engine.Response{Data: raw}, err
}
