package enginetest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// Canary is the secret value that Steps plant in bodies. It must come out of
// answers that a Step says Reveal it, and nowhere else.
const Canary = "canary-9c41f7"

// Suite is an engine and the requests that show what it can do.
type Suite struct {
	Factory engine.Factory
	Options []Option
	Steps   []Step // sent in order; together they must succeed on every operation of every route
}

// Step is one request.
type Step struct {
	Op      engine.Operation
	Path    string
	Body    string         // JSON, "" for none
	Caller  *engine.Caller // nil = DefaultCaller
	Fails   errs.Kind      // the kind it must fail with; Internal, the zero value, = it must succeed
	Reveals bool           // the answer must hold Canary
	Finish  bool           // what the answer wants done after the commit is done, and must succeed
}

// Run runs the suite. Every step is repeated on the same state, with a
// cancelled context, with fields of wrong types and through a conflict, and what
// it says, stores, emits and logs is held against the contract; see problems.
func Run(t *testing.T, s Suite) {
	t.Helper()
	for _, problem := range problems(t.Context(), s) {
		t.Error(problem)
	}
}

// runner collects what is wrong with one engine.
type runner struct {
	*Harness
	found   []string
	covered map[string]bool // "read data/{path...}"
	step    string          // what found is about
}

// problems returns all that is wrong with the suite's engine.
func problems(ctx context.Context, s Suite) []string {
	h, err := mount(ctx, s.Factory, s.Options...)
	if err != nil {
		return []string{fmt.Sprintf("mounting the engine: %v", err)}
	}
	r := &runner{Harness: h, covered: map[string]bool{}}
	r.declarations()
	r.setup()
	for i, step := range s.Steps {
		r.step = fmt.Sprintf("step %d, %s %q: ", i, step.Op, step.Path)
		r.run(i, step)
	}
	r.step = ""
	r.coverage()
	r.concurrentReads(s.Steps)
	r.tokensGone(s.Steps)
	if strings.Contains(h.Logs(), Canary) {
		r.fault("the log holds the canary")
	}
	r.found = append(r.found, h.close()...)
	return r.found
}

func (r *runner) fault(format string, args ...any) {
	r.found = append(r.found, r.step+fmt.Sprintf(format, args...))
}

// declarations checks what routes say about themselves.
func (r *runner) declarations() {
	for _, route := range r.Router.Routes() {
		if route.Summary == "" || route.Help == "" {
			r.fault("route %q lacks a Summary or a Help", route.Pattern)
		}
		for _, f := range route.Fields {
			if f.Help == "" {
				r.fault("route %q: the field %q lacks a Help", route.Pattern, f.Name)
			}
		}
	}
	if len(r.Engine.Routes()) != len(r.Router.Routes()) {
		r.fault("Routes returns another list each time")
	}
}

// setup checks that a Setup run again on the same state does the same.
func (r *runner) setup() {
	setter, ok := r.Engine.(engine.Setter)
	if !ok {
		return
	}
	run := func() string {
		r.random.seed(1)
		t := r.begin()
		err := setter.Setup(r.ctx, t)
		return outcome(t, nil, err)
	}
	if one, two := run(), run(); one != two {
		r.fault("Setup does something else the second time: %s, then %s", one, two)
	}
}

func (s Step) request(r *runner, body engine.Body) *engine.Request {
	req := &engine.Request{
		ID: "00000000-0000-4000-8000-000000000001", Operation: s.Op, Mount: "mnt/", Path: s.Path, Body: body,
		Caller: DefaultCaller(), Remote: netip.MustParseAddr("192.0.2.7"), Time: r.now,
	}
	if s.Caller != nil {
		req.Caller = *s.Caller
	}
	return req
}

// run sends one step in all the ways there are, and at last for good.
func (r *runner) run(i int, s Step) {
	body, err := engine.ParseBody([]byte(s.Body))
	if err != nil {
		r.fault("the step's body: %v", err)
		return
	}
	route, _, _ := r.Router.Match(s.Path)
	req := s.request(r, body)
	handler, err := r.route(req)
	if err != nil {
		r.verdict(s, nil, err)
		return
	}
	r.random.seed(byte(i))
	r.cancelled(handler, req)
	r.wrongTypes(s, route, handler, req)
	first, t := r.repeated(i, handler, req)
	if route.ReadsOnly(s.Op) && len(t.writes())+len(t.events) != 0 {
		r.fault("the route is ReadOnly but writes or emits")
	}
	r.leaks(t)

	r.random.seed(byte(i))
	r.Conflict()
	var last *tx
	res, err := r.transact(func(t *tx) (*engine.Response, error) {
		r.random.seed(byte(i))
		last = t
		return handler(r.ctx, t, req)
	})
	r.store.fail = nil
	r.verdict(s, res, err)
	if got := outcome(last, res, err); got != first {
		r.fault("the run after a conflict did %s, the first run %s", got, first)
	}
	if err == nil {
		r.covered[s.Op.String()+" "+route.Pattern] = true
		r.covered[req.Operation.String()+" "+route.Pattern] = true
	}
	if err == nil && s.Finish {
		if err := r.finish(req, res); err != nil {
			r.fault("what was to be done after the commit: %v", err)
		}
	}
}

// cancelled checks that a handler whose context ended ends with an error,
// unless it never asked the store.
func (r *runner) cancelled(handler engine.Handler, req *engine.Request) {
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	t := r.begin()
	if _, err := handler(ctx, t, req); err == nil && t.touched {
		r.fault("the context was cancelled, and the handler succeeded")
	}
}

// wrongTypes sends the request with each declared field broken in turn. What
// the handler makes of it is its affair, but it must be a refusal of the
// request or an answer, and must not quote what was sent.
func (r *runner) wrongTypes(s Step, route *engine.Route, handler engine.Handler, req *engine.Request) {
	for _, f := range route.Fields {
		for _, broken := range []string{`[["` + Canary + `"]]`, `{"` + Canary + `":{}}`, `"` + Canary + `"`, `-1`, `1e400`, `true`, `null`, `""`} {
			fields := map[string]jsontext.Value{}
			for _, name := range req.Body.Names() {
				fields[name] = req.Body.Field(name)
			}
			fields[f.Name] = jsontext.Value(broken)
			changed := *req
			changed.Body = engine.NewBody(fields)
			t := r.begin()
			_, err := handler(r.ctx, t, &changed)
			if err != nil && errs.KindOf(err) == errs.Internal {
				r.fault("field %q of a wrong type is an Internal error: %v", f.Name, err)
			}
			if err != nil && strings.Contains(err.Error(), Canary) {
				r.fault("field %q of a wrong type is quoted: %v", f.Name, err)
			}
		}
	}
}

// repeated runs the handler twice on one state and compares.
func (r *runner) repeated(i int, handler engine.Handler, req *engine.Request) (string, *tx) {
	var seen [2]string
	var t *tx
	for n := range seen {
		r.random.seed(byte(i))
		t = r.begin()
		res, err := handler(r.ctx, t, req)
		seen[n] = outcome(t, res, err)
	}
	if seen[0] != seen[1] {
		r.fault("the handler run twice on one state did %s, then %s", seen[0], seen[1])
	}
	return seen[0], t
}

// outcome is everything a run did, in a form to compare.
func outcome(t *tx, res *engine.Response, err error) string {
	text := "no error"
	if err != nil {
		text = err.Error()
	}
	shown, jsonErr := json.Marshal(struct {
		Writes   any
		Events   any
		Response any
	}{t.writes(), t.events, res})
	return fmt.Sprintf("%s %s %v", text, shown, jsonErr)
}

// leaks checks that nothing public holds the canary.
func (r *runner) leaks(t *tx) {
	for _, e := range t.events {
		if strings.Contains(fmt.Sprint(e), Canary) {
			r.fault("the event %q holds the canary", e.Type)
		}
		if e.Type == "" || e.Path == "" {
			r.fault("an event lacks its type or path: %+v", e)
		}
	}
	for _, c := range t.writes() {
		if strings.Contains(c.Key, Canary) {
			r.fault("a storage key holds the canary")
		}
	}
}

// verdict checks a step's answer.
func (r *runner) verdict(s Step, res *engine.Response, err error) {
	switch {
	case s.Fails != errs.Internal && !errs.Is(err, s.Fails):
		r.fault("got %v, want an error of kind %q", err, s.Fails)
	case s.Fails == errs.Internal && err != nil:
		r.fault("failed: %v", err)
	}
	if err != nil {
		if strings.Contains(err.Error(), Canary) {
			r.fault("the error holds the canary: %v", err)
		}
		return
	}
	var all []byte
	if res != nil {
		if res.Data != nil && (res.Data.Kind() != '{' || !res.Data.IsValid()) {
			r.fault("Data is not a JSON object")
		}
		shown := *res
		if shown.Lease != nil {
			lease := *shown.Lease
			lease.Internal = nil
			shown.Lease = &lease
		}
		var encodeErr error
		if all, encodeErr = json.Marshal(shown); encodeErr != nil {
			r.fault("the answer cannot be encoded: %v", encodeErr)
		}
		if res.Raw != nil {
			all = append(all, res.Raw.Body...)
		}
	}
	if revealed := strings.Contains(string(all), Canary); revealed != s.Reveals {
		r.fault("the answer holds the canary: %v, want %v", revealed, s.Reveals)
	}
}

// coverage checks that the steps left nothing out.
func (r *runner) coverage() {
	for _, route := range r.Router.Routes() {
		for op := range route.Handlers {
			if !r.covered[op.String()+" "+route.Pattern] {
				r.fault("no step succeeds with %s on %q", op, route.Pattern)
			}
		}
	}
}
