package authtest

import (
	"context"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

const password = "canary-pass-1"

// method is an auth method with one password, and can be made faulty.
type method struct {
	cfg    engine.Config
	faulty string
}

func (m *method) Close() error { return nil }

func (m *method) Routes() []engine.Route {
	fields := []engine.Field{{Name: "password", Secret: true}}
	return []engine.Route{
		{Pattern: "config", Handlers: map[engine.Operation]engine.Handler{engine.Update: m.write, engine.Read: m.read, engine.Delete: m.drop}, Fields: fields},
		{Pattern: "login", Handlers: map[engine.Operation]engine.Handler{engine.Update: m.login}, Fields: fields, Unauthenticated: m.faulty != "asks for a token"},
	}
}

func (m *method) write(_ context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	tx.Put("config", []byte(d.String("password", "")))
	return nil, d.Err()
}

func (m *method) drop(_ context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	if m.faulty != "cannot be dropped" {
		tx.Delete("config")
	}
	return nil, nil
}

func (m *method) read(ctx context.Context, tx engine.Tx, _ *engine.Request) (*engine.Response, error) {
	e, err := tx.Get(ctx, "config")
	if err != nil || !e.Exists() {
		return nil, err
	}
	b := engine.NewObject()
	if m.faulty == "config shows it" {
		b = b.Str("password", string(e.Value))
	}
	return &engine.Response{Data: b.Value()}, nil
}

func (m *method) login(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
	d := req.Decode()
	given := d.String("password", "")
	if m.faulty == "logs it" {
		m.cfg.Log.Info("login", "password", given)
	}
	e, err := tx.Get(ctx, "config")
	if err != nil {
		return nil, err
	}
	a := &engine.Auth{DisplayName: "d", Alias: "a", Orphan: true}
	switch m.faulty {
	case "gives root":
		a.Params.Policies = []string{"Root"}
	case "has a parent":
		a.Orphan = false
	case "auth shows it":
		a.Metadata = map[string]string{"p": given}
	case "issues itself":
		a.Issued = &engine.Issued{}
	}
	right := e.Exists() && string(e.Value) == given
	if m.faulty == "ignores case" {
		right = e.Exists() && strings.EqualFold(string(e.Value), given)
	}
	if m.faulty == "lets everybody in" {
		right = true
	}
	if right {
		return &engine.Response{Auth: a}, nil
	}
	switch m.faulty {
	case "auth with error":
		return &engine.Response{Auth: a}, errs.New(errs.Denied, "no")
	case "wrong kind":
		return nil, errs.New(errs.NotExist, "no")
	case "error shows it":
		return nil, errs.New(errs.Denied, "not "+string(e.Value))
	}
	return nil, errs.New(errs.Denied, "no")
}

func (m *method) Renew(ctx context.Context, tx engine.Tx, a *engine.Auth) (*engine.Auth, error) {
	e, err := tx.Get(ctx, "config")
	if err != nil || m.faulty == "renews always" || e.Exists() {
		return a, err
	}
	return nil, errs.New(errs.Invalid, "gone")
}

func suite(faulty string) Suite {
	return Suite{
		Factory:  func(cfg engine.Config) (engine.Engine, error) { return &method{cfg, faulty}, nil },
		Setup:    []Request{{engine.Update, "config", `{"password":"` + password + `"}`}},
		Login:    Request{engine.Update, "login", `{"password":"` + password + `"}`},
		Wrong:    map[string]string{"another": `{"password":"x"}`, "none": `{}`},
		DropRole: Request{engine.Delete, "config", ""},
	}
}

func TestGoodMethodPasses(t *testing.T) { Run(t, suite("")) }

// Each fault must be found: a suite that cannot fail is a fault.
func TestFaultyMethodsAreFound(t *testing.T) {
	for faulty, want := range map[string]string{
		"asks for a token":  "asks for a token",
		"config shows it":   `reading "config" shows a secret`,
		"logs it":           "the log holds a secret",
		"gives root":        "policy root",
		"has a parent":      "has no parent",
		"auth shows it":     "the Auth holds a secret",
		"issues itself":     "made the token itself",
		"ignores case":      "logged in",
		"lets everybody in": "before the method is configured",
		"auth with error":   "an error came with a response",
		"wrong kind":        "refused with kind",
		"error shows it":    "the error holds a secret",
		"renews always":     "renewed by a role that is gone",
		"cannot be dropped": "logged in by a role that is gone",
	} {
		if found := strings.Join(problems(t, suite(faulty)), "\n"); !strings.Contains(found, want) {
			t.Errorf("%s: found %q", faulty, found)
		}
	}
}
