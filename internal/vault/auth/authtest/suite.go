package authtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
)

// Suite is a method and the requests that show how one logs in.
type Suite struct {
	Factory engine.Factory
	Options []enginetest.Option
	Setup   []Request         // configuration and a role, with Secrets in it
	Login   Request           // must succeed
	Wrong   map[string]string // bodies for Login.Path that must be refused, by what is wrong
	Secrets []string          // what neither an answer, an error nor the log may hold; the login's own besides
	// DropRole removes what the login was by: renewal must then be refused, if
	// the method is an engine.Renewer. Zero: not tried.
	DropRole Request
}

// Request is one call; a Body is JSON, "" for none.
type Request struct {
	Op   engine.Operation
	Path string
	Body string
}

// Run runs the suite.
func Run(t *testing.T, s Suite) {
	t.Helper()
	for _, problem := range problems(t, s) {
		t.Error(problem)
	}
}

type runner struct {
	Suite
	*enginetest.Harness
	probe   *probe
	secrets []string
	found   []string
}

func problems(t testing.TB, s Suite) []string {
	r := &runner{Suite: s}
	r.Harness = enginetest.New(t, func(cfg engine.Config) (engine.Engine, error) {
		e, err := s.Factory(cfg)
		r.probe = &probe{Engine: e}
		return r.probe, err
	}, s.Options...)
	r.secrets = append(r.loginSecrets(), s.Secrets...)
	if len(r.secrets) == 0 {
		r.fault("the suite names no secret and the login has none: it would prove nothing")
	}
	r.beforeSetup()
	for _, q := range s.Setup {
		if _, err := r.Do(q.Op, q.Path, q.Body); err != nil {
			r.fault("setup %s %q: %v", q.Op, q.Path, err)
		}
	}
	r.routes()
	r.good()
	r.wrong()
	r.mutated()
	r.reads()
	r.dropped()
	for _, secret := range r.secrets {
		if strings.Contains(r.Logs(), secret) {
			r.fault("the log holds a secret")
		}
	}
	return r.found
}

func (r *runner) fault(format string, args ...any) {
	r.found = append(r.found, fmt.Sprintf(format, args...))
}

// loginSecrets returns the values of the login's fields that are declared Secret.
func (r *runner) loginSecrets() []string {
	body, err := engine.ParseBody([]byte(r.Login.Body))
	if err != nil {
		r.fault("the login's body: %v", err)
		return nil
	}
	route, _, ok := r.Router.Match(r.Login.Path)
	if !ok {
		r.fault("there is no route for %q", r.Login.Path)
		return nil
	}
	d := body.Decode()
	var secrets []string
	for _, f := range route.Fields {
		if s := d.String(f.Name, ""); f.Secret && s != "" {
			secrets = append(secrets, s)
		}
	}
	return secrets
}

// call sends a login and checks what holds of every answer: an error comes
// alone (CVE-2026-46405), is one that blames the request, and shows no secret.
func (r *runner) call(what, body string) *engine.Auth {
	res, err := r.Do(engine.Update, r.Login.Path, body, anonymous)
	if err != nil && res != nil {
		r.fault("%s: an error came with a response, which might be taken for a login", what)
	}
	if err != nil {
		switch errs.KindOf(err) {
		case errs.Invalid, errs.Denied, errs.Unauthenticated, errs.Unavailable:
		default:
			r.fault("%s: refused with kind %q, want one that becomes 400, 403 or 503: %v", what, errs.KindOf(err), err)
		}
		for _, secret := range r.secrets {
			if strings.Contains(err.Error(), secret) {
				r.fault("%s: the error holds a secret", what)
			}
		}
		return nil
	}
	if res == nil {
		return nil
	}
	return res.Auth
}

// anonymous takes the caller away: who logs in is nobody yet.
func anonymous(req *engine.Request) { req.Caller = engine.Caller{} }

func (r *runner) beforeSetup() {
	if r.call("before it is configured", r.Login.Body) != nil {
		r.fault("a login succeeds before the method is configured")
	}
}

// routes checks that nothing but a login is open to all.
func (r *runner) routes() {
	login, _, _ := r.Router.Match(r.Login.Path)
	for _, route := range r.Router.Routes() {
		isLogin := login != nil && route.Pattern == login.Pattern
		if route.Unauthenticated && !isLogin && strings.Contains(route.Pattern, "config") {
			r.fault("route %q is open to all", route.Pattern)
		}
		if isLogin && !route.Unauthenticated {
			r.fault("the login asks for a token")
		}
	}
}

func (r *runner) good() {
	a := r.call("the good login", r.Login.Body)
	if a == nil {
		r.fault("the good login gives no Auth")
		return
	}
	switch {
	case a.Issued != nil:
		r.fault("the method made the token itself: only the gate does")
	case !a.Orphan || a.Parent != "":
		r.fault("a login's token has no parent")
	case slices.ContainsFunc(a.Params.Policies, func(p string) bool { return strings.EqualFold(strings.TrimSpace(p), "root") }):
		r.fault("the login asks for the policy root")
	case a.Alias == "" || a.DisplayName == "":
		r.fault("the login says not who it is: %+v", a)
	}
	shown, err := json.Marshal(a)
	if err != nil {
		r.fault("encoding the Auth: %v", err)
	}
	for _, secret := range r.secrets {
		if strings.Contains(string(shown), secret) {
			r.fault("the Auth holds a secret")
		}
	}
}

func (r *runner) wrong() {
	if len(r.Wrong) == 0 {
		r.fault("the suite has no wrong credentials")
	}
	for what, body := range r.Wrong {
		if r.call(what, body) != nil {
			r.fault("%s: logged in", what)
		}
	}
}

// mutated breaks each secret field of the good login in many ways.
func (r *runner) mutated() {
	body, err := engine.ParseBody([]byte(r.Login.Body))
	route, _, ok := r.Router.Match(r.Login.Path)
	if err != nil || !ok {
		return
	}
	for _, f := range route.Fields {
		if !f.Secret || !body.Has(f.Name) {
			continue
		}
		d := body.Decode()
		good := d.String(f.Name, "")
		for i, bad := range mutations(good) {
			raw, err := json.Marshal(bad)
			if err != nil {
				continue
			}
			fields := map[string]jsontext.Value{}
			for _, name := range body.Names() {
				fields[name] = body.Field(name)
			}
			fields[f.Name] = raw
			if r.call(fmt.Sprintf("field %q, change %d", f.Name, i), string(engine.NewBody(fields).Raw())) != nil {
				r.fault("field %q, change %d: logged in", f.Name, i)
			}
		}
	}
}

// mutations are values near good that must not pass for it.
func mutations(good string) []string {
	bad := []string{"", " ", "null", strings.ToUpper(good), good + good, good + "x", "x" + good, good[:len(good)-1], good[1:], strings.Repeat("x", 1<<16), "\x00", good + "\x00"}
	for i := 0; i < len(good); i += max(len(good)/16, 1) {
		b := []byte(good)
		if b[i]++; b[i] > '~' {
			b[i] = 'A'
		}
		bad = append(bad, string(b))
	}
	return slices.DeleteFunc(bad, func(s string) bool { return strings.TrimSpace(s) == good })
}

// reads reads back whatever setup wrote: no secret may come out.
func (r *runner) reads() {
	for _, q := range r.Setup {
		res, err := r.Do(engine.Read, q.Path, "")
		if err != nil || res == nil {
			continue // not everything that is written can be read
		}
		for _, secret := range r.secrets {
			if strings.Contains(string(res.Data), secret) {
				r.fault("reading %q shows a secret", q.Path)
			}
		}
	}
}

// dropped checks that who lost the role can neither log in nor renew.
func (r *runner) dropped() {
	if r.DropRole.Op == 0 {
		return
	}
	a := r.call("before the role is dropped", r.Login.Body)
	if _, err := r.Do(r.DropRole.Op, r.DropRole.Path, r.DropRole.Body); err != nil {
		r.fault("dropping the role: %v", err)
	}
	if r.call("after the role is dropped", r.Login.Body) != nil {
		r.fault("logged in by a role that is gone")
	}
	if _, ok := r.probe.Engine.(engine.Renewer); !ok || a == nil {
		return
	}
	r.probe.auth = a
	if _, err := r.Do(engine.Update, renewPath, ""); err == nil || r.probe.renewed != nil {
		r.fault("renewed by a role that is gone")
	}
}
