package enginetest

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// fake is an engine that keeps one value, and can be made faulty.
type fake struct {
	cfg    engine.Config
	runs   int
	closed error
	routes func(*fake) []engine.Route
}

func (f *fake) Routes() []engine.Route { return f.routes(f) }
func (f *fake) Close() error           { return f.closed }

func (f *fake) Setup(_ context.Context, tx engine.Tx) error {
	tx.Put("setup", []byte("done"))
	return nil
}

func (f *fake) TokenGone(_ context.Context, tx engine.Tx, tokenKey string) error {
	tx.Delete("by/" + tokenKey)
	return nil
}

func (f *fake) read(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	e, err := tx.Get(ctx, "value")
	if err != nil || !e.Exists() {
		return nil, err
	}
	return &engine.Response{Data: jsontext.Value(e.Value)}, nil
}

func (f *fake) write(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	value := d.String("value", "")
	if err := d.Err(); err != nil {
		return nil, err
	}
	if value == "" {
		return nil, errs.New(errs.Invalid, "missing value")
	}
	tx.Put("value", req.Body.Raw())
	tx.Put("by/"+req.Caller.TokenKey, []byte("x"))
	tx.Emit(engine.Event{Type: "fake/write", Path: req.Path})
	return nil, nil
}

// good returns the routes of a fake without faults.
func good(f *fake) []engine.Route {
	return []engine.Route{{
		Pattern:  "value",
		Handlers: map[engine.Operation]engine.Handler{engine.Read: f.read, engine.Update: f.write},
		Exists: func(ctx context.Context, tx engine.Tx, _ *engine.Request) (bool, error) {
			e, err := tx.Get(ctx, "value")
			return e.Exists(), err
		},
		ReadOnly: true,
		Summary:  "The value.",
		Help:     "Keeps one value.",
		Fields:   []engine.Field{{Name: "value", Help: "What to keep.", Secret: true}},
	}}
}

// suite returns the suite of a fake that change has made faulty.
func suite(change func(*fake, *engine.Route)) Suite {
	return Suite{
		Factory: func(cfg engine.Config) (engine.Engine, error) {
			f := &fake{cfg: cfg}
			f.routes = func(f *fake) []engine.Route {
				routes := good(f)
				if change != nil {
					change(f, &routes[0])
				}
				return routes
			}
			return f, nil
		},
		Steps: []Step{
			{Op: engine.Read, Path: "value"},
			{Op: engine.Update, Path: "value", Body: `{"value":"` + Canary + `"}`},
			{Op: engine.Update, Path: "value", Body: `{"value":7}`},
			{Op: engine.Update, Path: "value", Body: `{"value":"` + Canary + `"}`},
			{Op: engine.Read, Path: "value", Reveals: true},
			{Op: engine.Update, Path: "value", Body: `{}`, Fails: errs.Invalid},
			{Op: engine.Update, Path: "other", Fails: errs.NotExist},
			{Op: engine.Delete, Path: "value", Fails: errs.Unsupported},
		},
	}
}

func TestGoodEnginePasses(t *testing.T) { Run(t, suite(nil)) }

// Every check of the suite is one that can fail.
func TestFaultsAreFound(t *testing.T) {
	type handler = func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error)
	on := func(op engine.Operation, wrap func(*fake, handler) handler) func(*fake, *engine.Route) {
		return func(f *fake, r *engine.Route) { r.Handlers[op] = wrap(f, r.Handlers[op]) }
	}
	before := func(op engine.Operation, do func(*fake, context.Context, engine.Tx, *engine.Request) error) func(*fake, *engine.Route) {
		return on(op, func(f *fake, next handler) handler {
			return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
				if err := do(f, ctx, tx, req); err != nil {
					return nil, err
				}
				return next(ctx, tx, req)
			}
		})
	}
	for want, change := range map[string]func(*fake, *engine.Route){
		"lacks a Summary or a Help":   func(_ *fake, r *engine.Route) { r.Help = "" },
		`"value" lacks a Help`:        func(_ *fake, r *engine.Route) { r.Fields[0].Help = "" },
		"no step succeeds with patch": func(f *fake, r *engine.Route) { r.Handlers[engine.Patch] = f.write },
		"closing the engine":          func(f *fake, _ *engine.Route) { f.closed = io.EOF },
		"is left of a token": before(engine.Update, func(_ *fake, _ context.Context, tx engine.Tx, req *engine.Request) error {
			tx.Put("x/"+req.Caller.TokenKey, nil)
			return nil
		}),
		"is ReadOnly but writes": before(engine.Read, func(_ *fake, _ context.Context, tx engine.Tx, _ *engine.Request) error { tx.Put("k", nil); return nil }),
		"an event lacks its type": before(engine.Update, func(_ *fake, _ context.Context, tx engine.Tx, _ *engine.Request) error {
			tx.Emit(engine.Event{})
			return nil
		}),
		`event "x" holds the canary`: before(engine.Update, func(_ *fake, _ context.Context, tx engine.Tx, req *engine.Request) error {
			tx.Emit(engine.Event{Type: "x", Path: string(req.Body.Raw())})
			return nil
		}),
		"storage key holds the canary": before(engine.Update, func(_ *fake, _ context.Context, tx engine.Tx, req *engine.Request) error {
			tx.Put(string(req.Body.Raw()), nil)
			return nil
		}),
		"run twice on one state": before(engine.Update, func(f *fake, _ context.Context, tx engine.Tx, _ *engine.Request) error {
			f.runs++
			tx.Put("n", []byte{byte(f.runs)})
			return nil
		}),
		"the run after a conflict did": before(engine.Update, func(f *fake, _ context.Context, tx engine.Tx, _ *engine.Request) error {
			f.runs++
			tx.Put("n", []byte{byte(f.runs)})
			return nil
		}),
		"the log holds the canary": before(engine.Update, func(f *fake, _ context.Context, _ engine.Tx, req *engine.Request) error {
			f.cfg.Log.Info("x", slog.String("body", string(req.Body.Raw())))
			return nil
		}),
		"the error holds the canary": before(engine.Update, func(_ *fake, _ context.Context, _ engine.Tx, req *engine.Request) error {
			return errs.New(errs.Invalid, string(req.Body.Raw()))
		}),
		"of a wrong type is quoted": before(engine.Update, func(_ *fake, _ context.Context, _ engine.Tx, req *engine.Request) error {
			if req.Body.Field("value").Kind() == '[' {
				return errs.New(errs.Invalid, string(req.Body.Raw()))
			}
			return nil
		}),
		"wrong type is an Internal error": before(engine.Update, func(_ *fake, _ context.Context, _ engine.Tx, req *engine.Request) error {
			if req.Body.Field("value").Kind() == '[' {
				return io.EOF
			}
			return nil
		}),
		"failed: ": before(engine.Read, func(*fake, context.Context, engine.Tx, *engine.Request) error { return io.EOF }),
		`want an error of kind "invalid"`: on(engine.Update, func(*fake, handler) handler {
			return func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) { return nil, nil }
		}),
		"holds the canary: false, want true": on(engine.Read, func(*fake, handler) handler {
			return func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) { return nil, nil }
		}),
		"holds the canary: true, want false": on(engine.Update, func(_ *fake, next handler) handler {
			return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
				_, err := next(ctx, tx, req)
				return &engine.Response{Data: req.Body.Raw()}, err
			}
		}),
		"not a JSON object": on(engine.Read, func(*fake, handler) handler {
			return func(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
				return &engine.Response{Data: jsontext.Value(`[]`)}, nil
			}
		}),
		"cancelled, and the handler succeeded": on(engine.Read, func(f *fake, _ handler) handler {
			return func(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
				_, _ = tx.Get(ctx, "value")
				return nil, nil
			}
		}),
		"changed the shared value": on(engine.Update, func(*fake, handler) handler {
			return func(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
				e, err := tx.Get(ctx, "setup")
				if err == nil {
					e.Value[0]++
				}
				return nil, err
			}
		}),
		"writes or emits": func(_ *fake, r *engine.Route) {
			r.Exists = func(_ context.Context, tx engine.Tx, _ *engine.Request) (bool, error) {
				tx.Delete("value")
				return true, nil
			}
		},
		"mounting the engine": func(_ *fake, r *engine.Route) { r.Pattern = "/" },
	} {
		found := problems(t.Context(), suite(change))
		if !strings.Contains(strings.Join(found, "\n"), want) {
			t.Errorf("a fault was not found, want %q in %q", want, found)
		}
	}
}

func TestSetupMustRepeat(t *testing.T) {
	s := suite(nil)
	inner, n := s.Factory, 0
	s.Factory = func(cfg engine.Config) (engine.Engine, error) {
		e, err := inner(cfg)
		return restless{e.(*fake), &n}, err
	}
	if found := strings.Join(problems(t.Context(), s), "\n"); !strings.Contains(found, "Setup does something else") {
		t.Errorf("not found in %q", found)
	}
}

// restless writes something else at each Setup.
type restless struct {
	*fake
	n *int
}

func (r restless) Setup(_ context.Context, tx engine.Tx) error {
	*r.n++
	tx.Put("setup", []byte{byte(*r.n)})
	return nil
}

func TestHarness(t *testing.T) {
	h := New(t, suite(nil).Factory)
	if got := h.Stored(t); len(got) != 1 || got["setup"] != "done" {
		t.Errorf("after Setup the store holds %v", got)
	}
	var ops []engine.Operation
	seen := func(req *engine.Request) { ops = append(ops, req.Operation) }
	for range 2 {
		var req *engine.Request
		if _, err := h.Do(engine.Update, "value", `{"value":"v"}`, seen, func(r *engine.Request) { req = r }); err != nil {
			t.Fatal(err)
		}
		ops[len(ops)-1] = req.Operation
	}
	if len(ops) != 2 || ops[0] != engine.Create || ops[1] != engine.Update {
		t.Errorf("a POST twice was %v, want create, then update", ops)
	}
	if got := h.Events(); len(got) != 2 || got[0].Type != "fake/write" {
		t.Errorf("events %v", got)
	}
	if h.Events() != nil {
		t.Error("Events did not forget what it gave")
	}
	h.Conflict()
	if _, err := h.Do(engine.Update, "value", `{"value":"w"}`); err != nil || len(h.Events()) != 1 {
		t.Errorf("through a conflict: %v", err)
	}
	if _, err := h.Do(engine.Update, "value", `{"value":[]}`); !errs.Is(err, errs.Invalid) || h.Stored(t)["value"] != `{"value":"w"}` {
		t.Errorf("a refused write: %v, stored %v", err, h.Stored(t))
	}
	if _, err := h.Do(engine.Update, "value", `{`); !errs.Is(err, errs.Invalid) {
		t.Errorf("half a body: %v", err)
	}
	start := h.Now()
	h.Advance(5)
	if h.Now().Sub(start) != 5 {
		t.Error("the clock does not move")
	}
}
