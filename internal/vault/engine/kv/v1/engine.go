package v1

import (
	"context"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/keypath"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// MaxData bounds the JSON of one secret, a little under store.MaxValue.
const MaxData = store.MaxValue - 1<<10

// Engine is one mount of kv version 1. It keeps no state outside its Tx.
type Engine struct{ ttl func() engine.TTLs }

// New is the engine.Factory of kv version 1.
func New(cfg engine.Config) (engine.Engine, error) { return &Engine{cfg.TTL}, nil }

// Close implements engine.Engine.
func (*Engine) Close() error { return nil }

// Routes implements engine.Engine.
func (e *Engine) Routes() []engine.Route {
	return []engine.Route{{
		Pattern: "{path...}",
		Handlers: map[engine.Operation]engine.Handler{
			engine.Read: e.read, engine.Create: write, engine.Update: write, engine.Delete: remove, engine.List: listFolder,
		},
		Exists:   exists,
		ReadOnly: true,
		Summary:  "Read, write, delete and list secrets.",
		Help: `The body of a write is the secret. The field ttl (or lease) is kept with the others, and is also the lease_duration
that readers are told: how often to look for a new value. Nothing expires.`,
		Fields: append([]engine.Field{
			{Name: "ttl", Type: engine.Duration, Help: "What readers are told as lease_duration; the mount's default TTL if it is absent or not a duration."},
			{Name: engine.AnyField, Secret: true, Help: "The secret, kept byte for byte."},
		}, keypath.Fields()...),
	}}
}

func keyOf(req *engine.Request) (string, error) {
	path := req.Params["path"]
	return "data/" + path, keypath.Check(path)
}

// exists tells create from update. What is wrong with the name is for the
// handler to say, after policy was asked.
func exists(ctx context.Context, tx engine.Tx, req *engine.Request) (bool, error) {
	key, err := keyOf(req)
	if err != nil {
		return false, nil
	}
	e, err := tx.Get(ctx, key)
	return e.Exists(), err
}

func (e *Engine) read(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	key, err := keyOf(req)
	if err != nil {
		return nil, err
	}
	entry, err := tx.Get(ctx, key)
	if err != nil || !entry.Exists() {
		return nil, err
	}
	r, err := decodeRecord(entry.Value)
	if err != nil {
		return nil, err
	}
	if r.ttl == noTTL {
		r.ttl = e.ttl().Default
	}
	return &engine.Response{Data: r.data, Lease: &engine.Lease{TTL: r.ttl}}, nil
}

func write(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	key, err := keyOf(req)
	if err != nil {
		return nil, err
	}
	if req.Body.Len() == 0 {
		return nil, errs.New(errs.Invalid, "missing data fields")
	}
	r := record{ttl: ttlOf(req.Body), data: req.Body.Raw()}
	if len(r.data) > MaxData {
		return nil, errs.Newf(errs.TooLarge, "the data has %d bytes, over the limit of %d for one secret: split it", len(r.data), MaxData)
	}
	tx.Put(key, r.encode())
	emit(tx, "write", req.Params["path"])
	return nil, nil
}

// ttlOf returns what the secret says of itself; what is no duration says nothing.
func ttlOf(b engine.Body) time.Duration {
	name := "ttl"
	if !b.Has(name) {
		name = "lease"
	}
	d := b.Decode()
	ttl := d.Duration(name, noTTL)
	if d.Err() != nil || ttl < 0 {
		return noTTL
	}
	return ttl
}

func remove(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	key, err := keyOf(req)
	if err != nil {
		return nil, err
	}
	entry, err := tx.Get(ctx, key)
	if err != nil || !entry.Exists() {
		return nil, err
	}
	tx.Delete(key)
	emit(tx, "delete", req.Params["path"])
	return nil, nil
}

func listFolder(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	folder, err := keypath.Folder(req.Params["path"])
	if err != nil {
		return nil, err
	}
	return keypath.List(ctx, tx, "data/"+folder, req)
}

func emit(tx engine.Tx, operation, path string) {
	tx.Emit(engine.Event{Type: "kv-v1/" + operation, Path: path, Metadata: map[string]string{
		"operation": operation, "path": path, "data_path": path, "modified": "true",
	}})
}
