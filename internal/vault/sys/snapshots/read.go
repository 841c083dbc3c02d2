package snapshots

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/policy"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot"
	"github.com/strongkeep/strongkeep/internal/vault/snapshot/keeper"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// readRoute reads one path as it was. It is a read of two paths as far as policy goes:
// of this one, and of the one that is read, with the policies of now.
func (c Config) readRoute() engine.Route {
	return engine.Route{
		Pattern: "storage/snapshots/read/{name}/{file}/{path...}", ReadOnly: true,
		Summary: "What lay at a path of a kv engine when a snapshot of a plan was made.",
		Help:    "The caller needs read on the path itself, too. To put it back, write it, as anything is written.",
		Fields: []engine.Field{
			{Name: "name", Type: engine.String, Help: "of the plan"},
			{Name: "file", Type: engine.String, Help: "of the snapshot, as LIST says it"},
			{Name: "path", Type: engine.String, Help: "with namespace and mount, for example secret/data/app/db"},
			{Name: "version", Type: engine.Int, Help: "of a secret of kv version 2; default the newest of then"},
		},
		Handlers: handlers{engine.Read: c.readPath},
	}
}

// target is what a path leads to, now.
type target struct {
	mount   *mount.Mount
	handler engine.Handler
	req     engine.Request
}

func (c Config) readPath(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	to, err := c.find(req)
	if err != nil {
		return nil, err
	}
	if err := c.authorize(ctx, tx, req, to); err != nil {
		return nil, err
	}
	p, err := keeper.Load(ctx, tx, req.Params["name"])
	if err != nil {
		return nil, err
	}
	return c.with(ctx, p, req.Params["file"], to.read)
}

// find finds what is mounted there.
func (c Config) find(req *engine.Request) (*target, error) {
	ns, path := c.Namespaces.Table().Find(req.Params["path"])
	if by := c.Namespaces.Table().LockedBy(ns); by != nil {
		return nil, namespace.ErrLocked(by)
	}
	m, rest, ok := c.Mounts.Table().Find(ns, path)
	if !ok {
		return nil, errs.New(errs.Invalid, "nothing is mounted at that path now: mount what was there, and it is another mount; restore the whole snapshot elsewhere to read it")
	}
	route, params, ok := m.Router.Match(rest)
	if m.Type != "kv" || !ok || route.Handler(engine.Read) == nil {
		return nil, errs.New(errs.Unsupported, "what is read out of a snapshot is a secret of a kv engine, for example secret/data/app/db")
	}
	return &target{mount: m, handler: route.Handler(engine.Read), req: engine.Request{
		ID: req.ID, Operation: engine.Read, Namespace: ns, Mount: m.Path, Path: rest, Params: params,
		Body: req.Body, Caller: req.Caller, Remote: req.Remote, Time: req.Time,
	}}, nil
}

// authorize asks the policies of now whether the caller may read the path itself.
func (c Config) authorize(ctx context.Context, tx engine.Tx, req *engine.Request, to *target) error {
	who, err := c.Caller(ctx, tx, req)
	if err != nil {
		return err
	}
	acl, _, err := c.Policies.ACLFor(ctx, tx, who)
	if err != nil {
		return err
	}
	path := to.req.Namespace.Path + to.mount.Path + to.req.Path
	if !acl.Decide(policy.Query{Path: path, Want: policy.Read, Params: &req.Body, WrapTTL: req.WrapTTL}).Allowed {
		return errs.New(errs.Denied, "permission denied")
	}
	return nil
}

// with opens a snapshot of a plan for do. One request at a time does: each reads the whole
// snapshot, and copies one that lies elsewhere.
func (c Config) with(ctx context.Context, p *keeper.Plan, file string, do func(context.Context, store.Store) (*engine.Response, error)) (_ *engine.Response, err error) {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return nil, errs.Newf(errs.Unavailable, "waiting for others that read snapshots: %w", ctx.Err())
	}
	at, err := c.Keeper.Place(ctx, p)
	if err != nil {
		return nil, err
	}
	from, err := at.Get(ctx, file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	if file, ok := from.(*os.File); ok { // it lies on this machine
		info, err := file.Stat()
		if err != nil {
			return nil, errs.Newf(errs.Unavailable, "reading the snapshot: %w", err)
		}
		return c.in(ctx, file, info.Size(), do)
	}
	here, err := os.CreateTemp("", "strongkeep-snapshot-*")
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "copying the snapshot: %w", err)
	}
	defer func() {
		_ = here.Close()
		_ = os.Remove(here.Name())
	}()
	size, err := io.Copy(here, from)
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "copying the snapshot: %w", err)
	}
	return c.in(ctx, here, size, do)
}

// in opens the snapshot that lies in a file for do.
func (c Config) in(ctx context.Context, here io.ReaderAt, size int64, do func(context.Context, store.Store) (*engine.Response, error)) (*engine.Response, error) {
	raw, err := snapshot.Open(ctx, here, size)
	if err != nil {
		return nil, err
	}
	info := raw.Info()
	if err := info.Authenticate(c.Keys); err != nil {
		return nil, err
	}
	open, err := c.Decrypt(raw)
	if err != nil {
		return nil, err
	}
	return do(ctx, open)
}

// past is a transaction on a snapshot: what it writes goes nowhere.
type past struct{ *store.Txn }

// Emit implements engine.Tx.
func (past) Emit(engine.Event) {}

// read asks the engine of now what lay there then.
func (t *target) read(ctx context.Context, then store.Store) (*engine.Response, error) {
	entry, err := then.Get(ctx, mount.EntryPrefix+t.mount.ID)
	if err != nil {
		return nil, err
	}
	if !entry.Exists() {
		return nil, errs.Newf(errs.Invalid, "what is mounted at %s now was not there when the snapshot was made", strings.TrimSuffix(t.mount.Path, "/"))
	}
	res, err := t.handler(ctx, mount.Confine(past{store.Begin(then)}, t.mount.Storage()), &t.req)
	if err == nil && res != nil && (res.After != nil || res.Auth != nil || res.Raw != nil) {
		return nil, errs.New(errs.Unsupported, "this path cannot be read out of a snapshot")
	}
	return res, err
}
