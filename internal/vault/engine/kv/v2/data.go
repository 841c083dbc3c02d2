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
func withInfo(name string, data jsontext.Value, m *metadata, v *version) *engine.Response {
	o := engine.NewObjectSize(len(data)+len(m.customJSON)+256).Raw(name, data)
	res := &engine.Response{Data: o.Obj("metadata", versionInfo(engine.NewObjectSize(len(m.customJSON)+192), m, v)).Value()}
	if data == nil {
		res.Status = 404
	}
	return res
}

// wanted finds the version that a read asks for. All nil: there is none, or no
// such secret. data is nil if the version is gone.
func wanted(ctx context.Context, tx engine.Tx, req *engine.Request) (m *metadata, v *version, data jsontext.Value, err error) {
	key, err := keyOf(req)
	if err != nil {
		return nil, nil, nil, err
	}
	d := req.Decode()
	n := d.Int("version", 0)
	if err := d.Err(); err != nil {
		return nil, nil, nil, err
	}
	if n < 0 {
		return nil, nil, nil, errs.New(errs.Invalid, "version must be 0 (the latest) or the number of a version")
	}
	if m, err = load(ctx, tx, key); err != nil || m == nil {
		return nil, nil, nil, err
	}
	if v = m.find(uint64(n)); v == nil {
		return nil, nil, nil, nil
	}
	if v.gone(req.Time) {
		return m, v, nil, nil
	}
	data, err = loadData(ctx, tx, key, v.n)
	return m, v, data, err
}

func readData(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	m, v, data, err := wanted(ctx, tx, req)
	if err != nil || m == nil {
		return nil, err
	}
	return withInfo("data", data, m, v), nil
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
	if w.old == nil || w.old.find(0) == nil {
		return engine.NotFound(), nil
	}
	latest := w.old.find(0)
	if latest.gone(req.Time) {
		return withInfo("data", nil, w.old, latest), nil
	}
	if err := w.checkCAS(req); err != nil {
		return nil, err
	}
	before, err := loadData(ctx, tx, w.key, latest.n)
	if err != nil {
		return nil, err
	}
	if w.data, err = mergePatch(before, w.data); err != nil {
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
