package token

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
	core "github.com/strongkeep/strongkeep/internal/vault/token"
)

const hour = time.Hour

// seeded is the method with some tokens there from the start.
type seeded struct {
	*Engine
	root, app, batch core.Created
}

func (s *seeded) Setup(ctx context.Context, tx engine.Tx) (err error) {
	if s.root, err = s.Tokens.Create(ctx, tx, core.RootSpec(redact.FromString("root-id"))); err != nil {
		return err
	}
	app := core.Spec{Policies: []string{"app", "default"}, Path: "auth/kubernetes/login", MountID: "k8s", DisplayName: "kubernetes-x",
		Meta: map[string]string{"role": "r"}, TTL: 2 * hour, Default: 768 * hour, Max: 768 * hour, Renewable: true, EntityID: "ent",
		ID: redact.FromString("app-id")}
	if s.app, err = s.Tokens.Create(ctx, tx, app); err != nil {
		return err
	}
	app.Type, app.ID = core.Batch, redact.Secret{}
	s.batch, err = s.Tokens.Create(ctx, tx, app)
	return err
}

func factory(cfg engine.Config, change func(*Config)) (*seeded, error) {
	tokens, err := core.New(core.Config{Key: redact.New(make([]byte, 32)), Now: cfg.Now, Random: cfg.Random})
	if err != nil {
		return nil, err
	}
	c := Config{Tokens: tokens}
	if change != nil {
		change(&c)
	}
	e, err := New(c)(cfg)
	if err != nil {
		return nil, err
	}
	return &seeded{Engine: e.(*Engine)}, nil
}

type world struct {
	*enginetest.Harness
	t *testing.T
	*seeded
}

func newWorld(t *testing.T, change func(*Config)) *world {
	w := &world{t: t}
	w.Harness = enginetest.New(t, func(cfg engine.Config) (engine.Engine, error) {
		s, err := factory(cfg, change)
		w.seeded = s
		return s, err
	})
	return w
}

func as(c core.Created, sudo bool) func(*engine.Request) {
	return func(r *engine.Request) {
		r.Token = c.Token
		r.Mount = "auth/token/"
		r.Caller = engine.Caller{TokenKey: c.Entry.Key, Accessor: c.Entry.Accessor, Policies: c.Entry.Policies, Root: c.Entry.Root(), Sudo: sudo || c.Entry.Root()}
	}
}

// call sends a request as c, who has sudo if the token is root.
func (w *world) call(c core.Created, path, body string) (*engine.Response, error) {
	return w.Do(engine.Update, path, body, as(c, false))
}

func (w *world) must(c core.Created, path, body string) *engine.Response {
	w.t.Helper()
	res, err := w.call(c, path, body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", path, body, err)
	}
	return res
}

func (w *world) refused(c core.Created, path, body string, kind errs.Kind, text string) {
	w.t.Helper()
	res, err := w.call(c, path, body)
	if !errs.Is(err, kind) || !strings.Contains(err.Error(), text) || res != nil {
		w.t.Errorf("%s %s: %v (kind %v); want %q", path, body, err, errs.KindOf(err), text)
	}
}

// made turns an answer into what as needs.
func (w *world) made(res *engine.Response) core.Created {
	w.t.Helper()
	if res == nil || res.Auth == nil || res.Auth.Issued == nil {
		w.t.Fatalf("no token in %+v", res)
	}
	i := res.Auth.Issued
	return core.Created{
		Entry: &core.Entry{Key: w.Tokens.TokenKey(i.ClientToken), Accessor: i.Accessor, Policies: i.Policies},
		Token: redact.FromString(i.ClientToken),
	}
}

func (w *world) lookup(token string) (map[string]any, error) {
	res, err := w.call(w.root, "lookup", fmt.Sprintf(`{"token":%q}`, token))
	if err != nil {
		return nil, err
	}
	var m map[string]any
	if err := json.Unmarshal(res.Data, &m); err != nil {
		w.t.Fatal(err)
	}
	return m, nil
}

func (w *world) valid(c core.Created) bool {
	w.t.Helper()
	_, err := w.lookup(c.Token.RevealString())
	if err != nil && (!errs.Is(err, errs.Denied) || err.Error() != "bad token") {
		w.t.Fatalf("lookup: %v", err)
	}
	return err == nil
}

func TestConformance(t *testing.T) {
	root := &engine.Caller{Root: true, Sudo: true, Policies: []string{"root"}, Accessor: "x"}
	app := &engine.Caller{Policies: []string{"app", "default"}, Accessor: "x"}
	m, err := core.New(core.Config{Key: redact.New(make([]byte, 32))})
	if err != nil {
		t.Fatal(err)
	}
	root.TokenKey, app.TokenKey = m.TokenKey("root-id"), m.TokenKey("app-id")
	accessor := `{"accessor":"` + newWorld(t, nil).app.Entry.Accessor + `"}` // the same in every mount: harnesses have one seed
	enginetest.Run(t, enginetest.Suite{
		Factory: func(cfg engine.Config) (engine.Engine, error) { return factory(cfg, nil) },
		Steps: []enginetest.Step{
			{Op: engine.Update, Path: "roles/r", Caller: root, Body: `{"allowed_policies":"a,b","token_period":"1h","path_suffix":"x"}`},
			{Op: engine.Update, Path: "roles/r", Caller: root, Body: `{"renewable":false}`},
			{Op: engine.Read, Path: "roles/r", Caller: root},
			{Op: engine.List, Path: "roles/", Caller: root},
			{Op: engine.Update, Path: "create", Caller: root, Body: `{"id":"` + enginetest.Canary + `","policies":"a","renewable":true,"meta":{"k":"v"}}`, Reveals: true},
			{Op: engine.Update, Path: "create-orphan", Caller: app, Body: `{}`},
			{Op: engine.Update, Path: "create/r", Caller: app, Body: `{"policies":"a"}`},
			{Op: engine.Update, Path: "create/none", Caller: app, Fails: errs.Invalid},
			{Op: engine.Update, Path: "lookup", Caller: root, Body: `{"token":"` + enginetest.Canary + `"}`, Reveals: true},
			{Op: engine.Read, Path: "lookup", Caller: root},
			{Op: engine.Read, Path: "lookup-self", Caller: root},
			{Op: engine.Update, Path: "lookup-self", Caller: app},
			{Op: engine.List, Path: "accessors/", Caller: root},
			{Op: engine.Update, Path: "lookup-accessor", Caller: root, Body: `{"accessor":"nope"}`, Fails: errs.Denied},
			{Op: engine.Update, Path: "lookup-accessor", Caller: root, Body: accessor},
			{Op: engine.Update, Path: "renew-accessor", Caller: root, Body: accessor},
			{Op: engine.Update, Path: "renew", Caller: root, Body: `{"token":"` + enginetest.Canary + `","increment":60}`, Reveals: true},
			{Op: engine.Update, Path: "renew-self", Caller: app, Body: `{}`},
			{Op: engine.Update, Path: "revoke", Caller: root, Body: `{"token":"` + enginetest.Canary + `"}`},
			{Op: engine.Update, Path: "revoke", Caller: root, Body: `{"token":"` + enginetest.Canary + `"}`},
			{Op: engine.Update, Path: "create", Caller: root, Body: `{"id":"second","policies":"a"}`},
			{Op: engine.Update, Path: "revoke-orphan", Caller: root, Body: `{"token":"second"}`},
			{Op: engine.Update, Path: "revoke-accessor", Caller: root, Body: accessor},
			{Op: engine.Update, Path: "tidy", Caller: root},
			{Op: engine.Delete, Path: "roles/r", Caller: root},
			{Op: engine.Update, Path: "revoke-self", Caller: root},
		},
	})
}

// §2.4 and §1.1 row 11.
func TestCreateAnswersAsClientsExpect(t *testing.T) {
	w := newWorld(t, nil)
	res := w.must(w.app, "create", `{"policies":["app"],"ttl":"1h","display_name":"my app!","meta":{"k":"v"},"num_uses":3}`)
	i := res.Auth.Issued
	if !strings.HasPrefix(i.ClientToken, "hvs.") || len(i.Accessor) != 24 || !slices.Equal(i.Policies, []string{"app", "default"}) ||
		!slices.Equal(i.TokenPolicies, i.Policies) || i.TTL != hour || !i.Renewable || i.Type != engine.TokenService || i.Orphan || i.NumUses != 3 ||
		i.EntityID != "ent" || res.Auth.Metadata["k"] != "v" || res.Auth.Parent != w.app.Entry.Key || len(res.Warnings) != 0 || res.Data != nil {
		t.Errorf("%+v %+v %q", res.Auth, i, res.Warnings)
	}
	got, err := w.lookup(i.ClientToken)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"accessor": i.Accessor, "creation_time": float64(w.Now().Unix()), "creation_ttl": 3600.0, "display_name": "token-my-app",
		"entity_id": "ent", "expire_time": w.Now().Add(hour).Format(time.RFC3339Nano), "explicit_max_ttl": 0.0, "id": i.ClientToken,
		"issue_time": w.Now().Format(time.RFC3339Nano), "meta": map[string]any{"k": "v"}, "num_uses": 3.0, "orphan": false,
		"path": "auth/token/create", "policies": []any{"app", "default"}, "renewable": true, "ttl": 3600.0, "type": "service",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("lookup\n got %v\nwant %v", got, want)
	}
}

func TestLookupOfRootAndPeriodic(t *testing.T) {
	w := newWorld(t, nil)
	root, err := w.lookup("root-id")
	if err != nil || root["expire_time"] != nil || root["ttl"] != 0.0 || root["display_name"] != "root" || root["path"] != "auth/token/root" ||
		root["orphan"] != true || root["meta"] != nil || root["renewable"] != false {
		t.Errorf("%v, %v", root, err)
	}
	c := w.made(w.must(w.root, "create", `{"period":"1h","policies":"x","no_parent":true,"explicit_max_ttl":"10h"}`))
	w.Advance(30 * time.Minute)
	w.must(c, "renew-self", `{}`)
	got, err := w.lookup(c.Token.RevealString())
	if err != nil || got["period"] != 3600.0 || got["explicit_max_ttl"] != 36000.0 || got["last_renewal"] != w.Now().Format(time.RFC3339Nano) ||
		got["last_renewal_time"] != float64(w.Now().Unix()) || got["orphan"] != true {
		t.Errorf("%v, %v", got, err)
	}
}

func TestWhatNeedsSudo(t *testing.T) {
	w := newWorld(t, nil)
	for body, text := range map[string]string{
		`{"id":"mine"}`:          "root or sudo privileges required to specify token id",
		`{"no_parent":true}`:     "root or sudo privileges required to create orphan token",
		`{"period":"1h"}`:        "root or sudo privileges required to create periodic token",
		`{"policies":["other"]}`: "child policies must be subset of parent",
		`{"policies":["root"]}`:  "child policies must be subset of parent",
		`{"policies":["app"],"no_default_policy":true,"type":"batch","num_uses":1}`: "batch tokens cannot have a limited number of uses",
	} {
		w.refused(w.app, "create", body, errs.Invalid, text)
		if body == `{"no_parent":true}` {
			continue
		}
		w.refused(w.app, "create-orphan", body, errs.Invalid, text)
	}
	for _, body := range []string{`{"id":"mine"}`, `{"no_parent":true}`, `{"period":"1h"}`, `{"policies":["other"]}`} {
		if _, err := w.Do(engine.Update, "create", body, as(w.app, true)); err != nil {
			t.Errorf("with sudo, %s: %v", body, err)
		}
	}
	if _, err := w.Do(engine.Update, "create", `{"policies":["root"]}`, as(w.app, true)); !errs.Is(err, errs.Invalid) {
		t.Errorf("sudo makes root: %v", err)
	}
	if !w.valid(core.Created{Token: redact.FromString("mine")}) {
		t.Error("the token of one's choice is not valid")
	}
}

func TestCreateRefuses(t *testing.T) {
	w := newWorld(t, nil)
	for body, text := range map[string]string{
		`{"ttl":-1}`:                                 "ttl must be positive",
		`{"explicit_max_ttl":"-1h"}`:                 "explicit_max_ttl must be positive",
		`{"period":-1}`:                              "period must be positive",
		`{"num_uses":-1}`:                            "number of uses cannot be negative",
		`{"type":"canary-2"}`:                        "type must be service or batch",
		`{"entity_alias":"x"}`:                       "is only allowed in combination with token role",
		`{"ttl":"canary-2"}`:                         `field "ttl"`,
		`{"meta":[1]}`:                               `field "meta"`,
		`{"id":"a.canary-2"}`:                        "custom token ID cannot have the '.' character",
		`{"type":"batch","period":1,"policies":"a"}`: "batch tokens cannot be periodic",
		`{"policies":["response-wrapping"]}`:         "cannot assign policy",
	} {
		w.refused(w.root, "create", body, errs.Invalid, text)
		if _, err := w.call(w.root, "create", body); strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: the error quotes the value", body)
		}
	}
	w.refused(w.batch, "create", `{}`, errs.Invalid, "batch tokens cannot create more tokens")
	counted := w.made(w.must(w.app, "create", `{"num_uses":5}`))
	w.refused(counted, "create", `{}`, errs.Invalid, "restricted use token cannot generate child tokens")
	gone := w.made(w.must(w.app, "create", `{}`))
	w.must(gone, "revoke-self", "")
	w.refused(gone, "create", `{}`, errs.Unauthenticated, "permission denied")
}

func TestRoles(t *testing.T) {
	w := newWorld(t, nil)
	w.must(w.root, "roles/ci", `{"allowed_policies":"deploy, Build","disallowed_policies":"default","orphan":true,"renewable":true,"token_period":"1h","token_num_uses":4,"token_explicit_max_ttl":7200,"path_suffix":"team","token_bound_cidrs":"192.0.2.7"}`)
	res, err := w.Do(engine.Read, "roles/CI", "")
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"allowed_entity_aliases":[],"allowed_policies":["build","deploy"],"allowed_policies_glob":[],"disallowed_policies":["default"],"disallowed_policies_glob":[],"explicit_max_ttl":7200,"name":"ci","orphan":true,"path_suffix":"team","period":3600,"renewable":true,"token_bound_cidrs":["192.0.2.7/32"],"token_explicit_max_ttl":7200,"token_no_default_policy":false,"token_num_uses":4,"token_period":3600,"token_type":"default-service"}`
	if string(res.Data) != want {
		t.Errorf("read as %s", res.Data)
	}
	made := w.must(w.app, "create/ci", `{"explicit_max_ttl":"1h"}`)
	i := made.Auth.Issued
	if !slices.Equal(i.Policies, []string{"build", "deploy"}) || !i.Orphan || i.TTL != hour || i.NumUses != 4 || made.Auth.Role != "ci" || len(made.Auth.Params.BoundCIDRs) != 1 {
		t.Errorf("%+v %+v", made.Auth, i)
	}
	if !slices.Contains(made.Warnings, "Explicit max TTL specified both during creation call and in role; using the lesser value of 3600 seconds") {
		t.Errorf("warnings %q", made.Warnings)
	}
	got, err := w.lookup(i.ClientToken)
	if err != nil || got["path"] != "auth/token/create/ci/team" || got["role"] != "ci" || !reflect.DeepEqual(got["bound_cidrs"], []any{"192.0.2.7/32"}) {
		t.Errorf("%v, %v", got, err)
	}
	w.refused(w.app, "create/ci", `{"policies":"app"}`, errs.Invalid, "must be subset of the role's allowed policies")
	w.refused(w.app, "create/none", `{}`, errs.Invalid, `unknown role "none"`)

	w.must(w.root, "roles/ci", `{"token_type":"default-batch","token_period":0,"token_explicit_max_ttl":0,"token_num_uses":0}`)
	if k := w.must(w.app, "create/ci", `{}`).Auth.Issued.Type; k != engine.TokenBatch {
		t.Errorf("default-batch gives %v", k)
	}
	if k := w.must(w.app, "create/ci", `{"type":"service"}`).Auth.Issued.Type; k != engine.TokenService {
		t.Errorf("default-batch and service asked for gives %v", k)
	}
	w.must(w.root, "roles/ci", `{"token_type":"service"}`)
	if k := w.must(w.app, "create/ci", `{"type":"batch"}`).Auth.Issued.Type; k != engine.TokenService {
		t.Errorf("service and batch asked for gives %v", k)
	}
	byRole := w.made(w.must(w.app, "create/ci", `{"ttl":"1h"}`))
	if _, err := w.Do(engine.Delete, "roles/ci", ""); err != nil {
		t.Fatal(err)
	}
	w.refused(byRole, "renew-self", `{}`, errs.Invalid, `original token role "ci" could not be found, not renewing`)
	if res, err := w.Do(engine.Read, "roles/ci", ""); res != nil || err != nil {
		t.Errorf("a deleted role: %v, %v", res, err)
	}
	for _, bad := range []string{"roles/-x", "roles/a..", "roles/a%2fb", "roles/" + strings.Repeat("x", 300)} {
		w.refused(w.root, bad, `{}`, errs.Invalid, "a role's name")
	}
	for _, bad := range []string{`{"path_suffix":"../x"}`, `{"path_suffix":"a b"}`, `{"token_type":"x"}`, `{"token_period":-1}`} {
		w.refused(w.root, "roles/ok", bad, errs.Invalid, "")
	}
}

func TestMissingPoliciesAreWarnedOf(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Missing = func(_ context.Context, _ engine.Tx, _ engine.Namespace, policies []string) ([]string, error) {
			return []string{fmt.Sprintf("Policy %q does not exist", policies[0])}, nil
		}
	})
	if got := w.must(w.app, "create", `{}`).Warnings; !slices.Equal(got, []string{`Policy "app" does not exist`}) {
		t.Errorf("%q", got)
	}
}

// §2.4 and §1.1 row 13.
func TestRenew(t *testing.T) {
	asked := 0
	w := newWorld(t, func(c *Config) {
		c.Limits = func(_ context.Context, _ engine.Tx, _ *engine.Request, e *core.Entry) (core.Limits, error) {
			asked++
			if e.MountID != "k8s" {
				return core.Limits{}, errs.New(errs.Internal, "not a login")
			}
			return core.Limits{Default: hour, Max: 3 * hour}, nil
		}
	})
	w.Advance(hour)
	i := w.must(w.app, "renew-self", `{"increment":"90m"}`).Auth.Issued
	if i.TTL != 90*time.Minute || i.ClientToken != "app-id" || !i.Renewable || asked != 1 {
		t.Errorf("%+v, the method was asked %d times", i, asked)
	}
	res := w.must(w.root, "renew", `{"token":"app-id","increment":36000}`)
	if res.Auth.Issued.TTL != 2*hour || res.Auth.Issued.ClientToken != "app-id" ||
		!slices.Equal(res.Warnings, []string{`TTL of "10h0m0s" exceeded the effective max_ttl of "3h0m0s"; TTL value is capped accordingly`}) {
		t.Errorf("%+v %q", res.Auth.Issued, res.Warnings)
	}
	res = w.must(w.root, "renew-accessor", fmt.Sprintf(`{"accessor":%q}`, w.app.Entry.Accessor))
	if res.Auth.Issued.ClientToken != "" || res.Auth.Issued.Accessor != w.app.Entry.Accessor || res.Auth.Issued.TTL != 2*hour {
		t.Errorf("by accessor: %+v", res.Auth.Issued)
	}
	w.refused(w.root, "renew-self", `{}`, errs.Invalid, "lease is not renewable")
	w.refused(w.batch, "renew-self", `{}`, errs.Invalid, "batch tokens cannot be renewed")
	w.refused(w.root, "renew", `{}`, errs.Invalid, "missing token ID")
	w.refused(w.root, "renew", `{"token":"canary"}`, errs.Invalid, "token not found")
	w.refused(w.root, "renew-accessor", `{}`, errs.Invalid, "missing accessor")
	w.refused(w.root, "renew-accessor", `{"accessor":"x"}`, errs.Denied, "invalid accessor")
	w.Advance(3 * hour)
	w.refused(w.root, "renew", `{"token":"app-id"}`, errs.Invalid, "token not found")
}

// §2.4 and §1.1 row 14.
func TestRevoke(t *testing.T) {
	w := newWorld(t, nil)
	family := func() (top, kid core.Created) {
		top = w.made(w.must(w.app, "create", `{}`))
		return top, w.made(w.must(top, "create", `{}`))
	}
	for name, how := range map[string]func(core.Created) (*engine.Response, error){
		"revoke": func(c core.Created) (*engine.Response, error) {
			return w.call(w.root, "revoke", fmt.Sprintf(`{"token":%q}`, c.Token.RevealString()))
		},
		"revoke-self": func(c core.Created) (*engine.Response, error) { return w.call(c, "revoke-self", "") },
		"revoke-accessor": func(c core.Created) (*engine.Response, error) {
			return w.call(w.root, "revoke-accessor", fmt.Sprintf(`{"accessor":%q}`, c.Entry.Accessor))
		},
	} {
		top, kid := family()
		res, err := how(top)
		if res != nil || err != nil || w.valid(top) || w.valid(kid) || !w.valid(w.app) {
			t.Errorf("%s: %v, %v; top %v, kid %v", name, res, err, w.valid(top), w.valid(kid))
		}
	}
	top, kid := family()
	if res := w.must(w.root, "revoke-orphan", fmt.Sprintf(`{"token":%q}`, top.Token.RevealString())); res != nil || w.valid(top) || !w.valid(kid) {
		t.Errorf("revoke-orphan: %v", res)
	}
	if res := w.must(w.root, "revoke", `{"token":"not-there"}`); res != nil {
		t.Errorf("revoking what is not there: %v", res)
	}
	w.refused(w.root, "revoke", `{}`, errs.Invalid, "missing token ID")
	w.refused(w.root, "revoke-orphan", `{"token":"not-there"}`, errs.Invalid, "token to revoke not found")
	w.refused(w.root, "revoke-accessor", `{"accessor":"not-there"}`, errs.Denied, "invalid accessor")
	w.refused(w.root, "revoke", fmt.Sprintf(`{"token":%q}`, w.batch.Token.RevealString()), errs.Invalid, "batch tokens cannot be revoked")
	w.refused(w.batch, "revoke-self", "", errs.Invalid, "batch tokens cannot be revoked")
}

// Which routes gate asks sudo for (§2.4): whoever lists all accessors or cuts
// children loose.
func TestRoutesThatNeedSudo(t *testing.T) {
	w := newWorld(t, nil)
	for _, r := range w.Routes() {
		want := r.Pattern == "accessors" || r.Pattern == "revoke-orphan"
		if r.Sudo != want || r.Unauthenticated || r.TokenOnly {
			t.Errorf("%s: sudo %v, unauthenticated %v", r.Pattern, r.Sudo, r.Unauthenticated)
		}
	}
}

func TestAccessors(t *testing.T) {
	w := newWorld(t, nil)
	res, err := w.Do(engine.List, "accessors/", `{"limit":1}`, as(w.root, false))
	if err != nil {
		t.Fatal(err)
	}
	var page struct{ Keys []string }
	if err := json.Unmarshal(res.Data, &page); err != nil || len(page.Keys) != 1 {
		t.Fatalf("%s", res.Data)
	}
	got := w.must(w.root, "lookup-accessor", fmt.Sprintf(`{"accessor":%q}`, w.app.Entry.Accessor))
	if !bytes.Contains(got.Data, []byte(`"id":""`)) || bytes.Contains(got.Data, []byte("app-id")) {
		t.Errorf("%s", got.Data)
	}
	if _, err := w.Do(engine.List, "accessors/", `{"limit":-1}`, as(w.root, false)); !errs.Is(err, errs.Invalid) {
		t.Errorf("a negative limit: %v", err)
	}
}

func TestBatchTokenLooksItselfUp(t *testing.T) {
	w := newWorld(t, nil)
	res := w.must(w.batch, "lookup-self", "")
	if !bytes.Contains(res.Data, []byte(`"type":"batch"`)) || !bytes.Contains(res.Data, []byte(w.batch.Token.RevealString())) {
		t.Errorf("%s", res.Data)
	}
}

// Whatever the body: no panic, no Internal error, no root token for who is not root.
func FuzzCreate(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"policies":["root"],"ttl":"1h"}`, `{"policies":"app,ROOT ","type":"batch"}`, `{"id":"x","no_parent":true}`,
		`{"period":"9999999h","explicit_max_ttl":1,"num_uses":"5","meta":{"a":"b"},"display_name":"\u0000"}`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		if _, err := engine.ParseBody([]byte(body)); err != nil {
			return
		}
		w := newWorld(t, nil)
		res, err := w.Do(engine.Update, "create", body, as(w.app, true))
		if err != nil {
			if errs.KindOf(err) == errs.Internal {
				t.Errorf("%s: %v", body, err)
			}
			return
		}
		if i := res.Auth.Issued; slices.Contains(i.Policies, "root") || i.TTL <= 0 || i.ClientToken == "" {
			t.Errorf("%s gave %+v", body, i)
		}
	})
}
