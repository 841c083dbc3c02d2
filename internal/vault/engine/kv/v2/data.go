package v2

import (
	"context"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// versionInfo is the five members that describe a version in every answer.
func versionInfo(o engine.Builder, m *metadata, v *version) engine.Builder {
	return o.
		Time("created_time", v.created).
		Raw("custom_metadata", m.customJSON).
		Time("deletion_time", v.deleted).
		Bool("destroyed", v.destroyed).
		Uint("version", v.n)
}

// withInfo answers with a version: what is under name, and beside it what is
// known of the version. A version that is gone has no data, and is a 404 with a
// full body.
func withInfo(name string, f found) *engine.Response {
	o := engine.NewObjectSize(len(f.data)+len(f.m.customJSON)+208).Raw(name, f.data)
	res := &engine.Response{Data: versionInfo(o.Open("metadata"), f.m, f.v).Close().Value()}
	if f.data == nil {
		res.Status = 404
	}
	return res
}

// wanted finds the version that a read asks for.
func wanted(ctx context.Context, tx engine.Tx, req *engine.Request) (found, error) {
	key, err := keyOf(req)
	if err != nil {
		return found{}, err
	}
	d := req.Decode()
	n := d.Int("version", 0)
	if err := d.Err(); err != nil {
		return found{}, err
	}
	if n < 0 {
		return found{}, errs.New(errs.Invalid, "version must be 0 (the latest) or the number of a version")
	}
	return loadVersion(ctx, tx, key, uint64(n), req.Time)
}

func readData(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	f, err := wanted(ctx, tx, req)
	if err != nil || f.v == nil {
		return nil, err
	}
	return withInfo("data", f), nil
}

// payload returns the secret that a write or patch brings.
func payload(req *engine.Request) (jsontext.Value, error) {
	d := req.Decode()
	data := d.Object("data")
	if err := d.Err(); err != nil {
		return nil, err
	}
	if data == nil {
		return nil, errs.New(errs.Invalid, "no data provided")
	}
	return data, nil
}

// writing is what every write of a version begins with.
type writing struct {
	key  string
	conf *config
	old  *metadata // nil: a new secret
	data jsontext.Value
}

func begin(ctx context.Context, tx engine.Tx, req *engine.Request) (w writing, err error) {
	if w.key, err = keyOf(req); err != nil {
		return w, err
	}
	if w.data, err = payload(req); err != nil {
		return w, err
	}
	if w.conf, err = loadConfig(ctx, tx); err != nil {
		return w, err
	}
	w.old, err = load(ctx, tx, w.key)
	return w, err
}

func writeData(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	w, err := begin(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	if err := w.checkCAS(req); err != nil {
		return nil, err
	}
	return w.store(tx, req, "data-write")
}

// patchData applies a JSON merge patch (RFC 7396) to the latest version.
func patchData(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	w, err := begin(ctx, tx, req)
	if err != nil {
		return nil, err
	}
	latest, err := loadVersion(ctx, tx, w.key, 0, req.Time)
	switch {
	case err != nil:
		return nil, err
	case latest.v == nil:
		return engine.NotFound(), nil
	case latest.data == nil:
		return withInfo("data", latest), nil
	}
	if err := w.checkCAS(req); err != nil {
		return nil, err
	}
	if w.data, err = mergePatch(latest.data, w.data); err != nil {
		return nil, err
	}
	return w.store(tx, req, "data-patch")
}

// checkCAS refuses a write whose options.cas is not the current version, or
// that lacks one where mount or secret require it.
func (w *writing) checkCAS(req *engine.Request) error {
	d := req.Decode()
	raw := d.Object("options")
	if err := d.Err(); err != nil {
		return err
	}
	options, err := engine.ParseBody(raw)
	if err != nil {
		return err
	}
	current, required := uint64(0), w.conf.casRequired
	if w.old != nil {
		current, required = w.old.current, required || w.old.casRequired
	}
	if !options.Has("cas") && !options.IsNull("cas") {
		if required {
			return errs.New(errs.Invalid, "check-and-set parameter required for this call")
		}
		return nil
	}
	o := options.Decode()
	cas := o.Int("cas", 0)
	if o.Err() != nil {
		return errs.New(errs.Invalid, "error parsing check-and-set parameter")
	}
	if cas < 0 || uint64(cas) != current {
		return errs.New(errs.Invalid, "check-and-set parameter did not match the current version")
	}
	return nil
}

// store adds w.data as a new version.
func (w *writing) store(tx engine.Tx, req *engine.Request, operation string) (*engine.Response, error) {
	m := w.old.clone(clock(req))
	v, dropped := m.add(clock(req), w.conf)
	if err := putData(tx, w.key, v.n, w.data); err != nil {
		return nil, err
	}
	for _, n := range dropped {
		tx.Delete(versionKey(w.key, n))
	}
	tx.Put(metaKey(w.key), m.encode())
	emit(tx, operation, "data/"+w.key, w.key, m)
	return &engine.Response{Data: versionInfo(engine.NewObjectSize(len(m.customJSON)+192), m, v).Value()}, nil
}

// clock is the request's time as it is stored.
func clock(req *engine.Request) time.Time { return req.Time.UTC().Round(0) }

// deleteData soft-deletes the latest version.
func deleteData(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	key, err := keyOf(req)
	if err != nil {
		return nil, err
	}
	m, err := load(ctx, tx, key)
	if err != nil || m == nil {
		return nil, err
	}
	m = m.clone(clock(req))
	v := m.find(0)
	if v == nil || v.gone(req.Time) {
		return nil, nil
	}
	v.deleted = clock(req)
	tx.Put(metaKey(key), m.encode())
	emit(tx, "data-delete", "data/"+key, key, m)
	return nil, nil
}
