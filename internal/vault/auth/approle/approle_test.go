package approle

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/auth/authtest"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
)

const secret = enginetest.Canary + "-0123456789"

func TestSuite(t *testing.T) {
	authtest.Run(t, authtest.Suite{
		Factory: New,
		Setup: []authtest.Request{
			{Op: engine.Update, Path: "role/app", Body: `{"token_policies":"app","role_id":"rid"}`},
			{Op: engine.Update, Path: "role/app/custom-secret-id", Body: `{"secret_id":"` + secret + `"}`},
			{Op: engine.Update, Path: "role/other", Body: `{"token_policies":"app","role_id":"rid2"}`},
			{Op: engine.Update, Path: "role/other/custom-secret-id", Body: `{"secret_id":"the-secret-of-the-other-role"}`},
		},
		Login: authtest.Request{Path: "login", Body: `{"role_id":"rid","secret_id":"` + secret + `"}`},
		Wrong: map[string]string{
			"no role ID":         `{"secret_id":"` + secret + `"}`,
			"another role ID":    `{"role_id":"Rid","secret_id":"` + secret + `"}`,
			"name for ID":        `{"role_id":"app","secret_id":"` + secret + `"}`,
			"no secret ID":       `{"role_id":"rid"}`,
			"another role's":     `{"role_id":"rid","secret_id":"the-secret-of-the-other-role"}`,
			"a list for a text":  `{"role_id":"rid","secret_id":["` + secret + `"]}`,
			"a very long one":    `{"role_id":"rid","secret_id":"` + strings.Repeat("x", 5000) + `"}`,
			"its role's and own": `{"role_id":"rid2","secret_id":"` + secret + `"}`,
		},
		DropRole: authtest.Request{Op: engine.Delete, Path: "role/app"},
	})
}

func TestConformance(t *testing.T) {
	id := `{"secret_id":"` + secret + `"}`
	steps := []enginetest.Step{
		{Op: engine.Update, Path: "role/app", Body: `{"token_policies":"app","role_id":"rid","secret_id_ttl":"1h","secret_id_num_uses":40,"token_bound_cidrs":"192.0.2.0/24"}`},
		{Op: engine.Update, Path: "role/App", Body: `{"token_ttl":60}`},
		{Op: engine.Update, Path: "role/app", Body: `{"bind_secret_id":false,"token_bound_cidrs":[]}`, Fails: errs.Invalid},
		{Op: engine.Update, Path: "role/app", Body: `{"secret_id_ttl":-1}`, Fails: errs.Invalid},
		{Op: engine.Update, Path: "role/app", Body: `{"secret_id_bound_cidrs":"here"}`, Fails: errs.Invalid},
		{Op: engine.Update, Path: "role/app", Body: `{"policies":"root"}`, Fails: errs.Invalid},
		{Op: engine.Update, Path: "role/b@d!", Body: `{}`, Fails: errs.Invalid},
		{Op: engine.Update, Path: "role/twin", Body: `{"role_id":"rid"}`, Fails: errs.Invalid},
		{Op: engine.Read, Path: "role/app"},
		{Op: engine.List, Path: "role/"},
		{Op: engine.Read, Path: "role/app/role-id"},
		{Op: engine.Update, Path: "role/app/role-id", Body: `{"role_id":"rid3"}`},
		{Op: engine.Update, Path: "role/app/role-id", Body: `{}`, Fails: errs.Invalid},
		{Op: engine.Update, Path: "role/app/secret-id", Body: `{"metadata":"{\"k\":\"v\"}"}`},
		{Op: engine.Update, Path: "role/app/secret-id", Body: `{"metadata":{"k":"v"},"ttl":"2h"}`, Fails: errs.Invalid},
		{Op: engine.Update, Path: "role/app/secret-id", Body: `{"num_uses":0}`, Fails: errs.Invalid},
		{Op: engine.Update, Path: "role/app/secret-id", Body: `{"metadata":"[1]"}`, Fails: errs.Invalid},
		{Op: engine.Update, Path: "role/app/secret-id", Body: `{"token_bound_cidrs":"0.0.0.0/0"}`, Fails: errs.Invalid},
		{Op: engine.Update, Path: "role/app/custom-secret-id", Body: id, Reveals: true},
		{Op: engine.Update, Path: "role/app/custom-secret-id", Body: id, Fails: errs.Invalid},
		{Op: engine.Update, Path: "role/app/custom-secret-id", Body: `{"secret_id":"short"}`, Fails: errs.Invalid},
		{Op: engine.List, Path: "role/app/secret-id/"},
		{Op: engine.Update, Path: "role/app/secret-id/lookup", Body: id},
		{Op: engine.Update, Path: "login", Body: `{"role_id":"rid3","secret_id":"` + secret + `"}`},
		{Op: engine.Update, Path: "login", Body: `{"role_id":"rid","secret_id":"` + secret + `"}`, Fails: errs.Invalid},
		{Op: engine.Update, Path: "role/app/secret-id-accessor/lookup", Body: `{"secret_id_accessor":"nope"}`, Fails: errs.NotExist},
		{Op: engine.Update, Path: "role/app/secret-id/destroy", Body: id},
		{Op: engine.Delete, Path: "role/app/secret-id/destroy", Body: id},
		{Op: engine.Update, Path: "tidy/secret-id"},
	}
	for _, f := range []string{
		"bind-secret-id bind_secret_id true", "local-secret-ids local_secret_ids true", "secret-id-bound-cidrs secret_id_bound_cidrs \"10.0.0.0/8\"",
		"bound-cidr-list bound_cidr_list \"10.0.0.0/8\"", "secret-id-num-uses secret_id_num_uses 3", "secret-id-ttl secret_id_ttl \"5m\"",
		"policies policies \"a,b\"", "period period 60", "token-ttl token_ttl 60", "token-max-ttl token_max_ttl 90", "token-num-uses token_num_uses 2",
		"token-bound-cidrs token_bound_cidrs \"192.0.2.7\"",
	} {
		part := strings.SplitN(f, " ", 3)
		steps = append(steps,
			enginetest.Step{Op: engine.Update, Path: "role/app/" + part[0], Body: fmt.Sprintf(`{%q:%s}`, part[1], part[2])},
			enginetest.Step{Op: engine.Update, Path: "role/app/" + part[0], Body: `{}`, Fails: errs.Invalid},
			enginetest.Step{Op: engine.Read, Path: "role/app/" + part[0]},
			enginetest.Step{Op: engine.Delete, Path: "role/app/" + part[0]})
	}
	enginetest.Run(t, enginetest.Suite{Factory: withAccessor, Steps: append(steps,
		enginetest.Step{Op: engine.Update, Path: "role/app/secret-id-accessor/lookup", Body: `{"secret_id_accessor":"known"}`},
		enginetest.Step{Op: engine.Update, Path: "role/app/secret-id-accessor/destroy", Body: `{"secret_id_accessor":"known"}`},
		enginetest.Step{Op: engine.Delete, Path: "role/app/secret-id-accessor/destroy", Body: `{"secret_id_accessor":"also"}`},
		enginetest.Step{Op: engine.Delete, Path: "role/app"},
	)})
}

// Who sends no secret ID does not learn whether the role ID is right.
func TestRoleIDsCannotBeGuessedWithoutSecretIDs(t *testing.T) {
	w := newWorld(t, `{"role_id":"right"}`)
	texts := map[string]bool{}
	for _, id := range []string{"right", "wrong"} {
		_, err := w.Do(engine.Update, "login", `{"role_id":"`+id+`"}`)
		if !errs.Is(err, errs.Invalid) {
			t.Fatal(id, err)
		}
		texts[err.Error()] = true
	}
	if len(texts) != 1 {
		t.Errorf("the answers differ: %v", texts)
	}
}

// world is one mount of the method with a role.
type world struct {
	*enginetest.Harness
	t *testing.T
}

func newWorld(t *testing.T, role string) *world {
	w := &world{enginetest.New(t, New), t}
	w.ok(engine.Update, "role/app", role)
	return w
}

func (w *world) ok(op engine.Operation, path, body string) map[string]any {
	w.t.Helper()
	res, err := w.Do(op, path, body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", op, path, err)
	}
	if res == nil || res.Data == nil {
		return nil
	}
	var m map[string]any
	if err := json.Unmarshal(res.Data, &m); err != nil {
		w.t.Fatal(err)
	}
	return m
}

func (w *world) secret(body string) (id, accessor string) {
	w.t.Helper()
	m := w.ok(engine.Update, "role/app/secret-id", body)
	return m["secret_id"].(string), m["secret_id_accessor"].(string)
}

func (w *world) login(id, from string) (*engine.Auth, error) {
	roleID := w.ok(engine.Read, "role/app/role-id", "")["role_id"].(string)
	res, err := w.Do(engine.Update, "login", fmt.Sprintf(`{"role_id":%q,"secret_id":%q}`, roleID, id), func(r *engine.Request) {
		r.Caller = engine.Caller{}
		if from != "" {
			r.Remote = netip.MustParseAddr(from)
		}
	})
	if err != nil {
		return nil, err
	}
	return res.Auth, nil
}

func TestLogin(t *testing.T) {
	w := newWorld(t, `{"token_policies":"app","token_ttl":"5m","token_max_ttl":"1h"}`)
	id, _ := w.secret(`{"metadata":{"host":"web-1","role_name":"admin"}}`)
	a, err := w.login(id, "")
	if err != nil {
		t.Fatal(err)
	}
	if a.Metadata["role_name"] != "app" || a.Metadata["host"] != "web-1" || a.Params.TTL != 5*time.Minute || a.Params.Policies[0] != "app" || !a.Orphan || !a.Renewable {
		t.Errorf("%+v", a)
	}
	if err := w.noSecret(id); err != nil {
		t.Error(err)
	}
}

// noSecret returns an error if the store holds id.
func (w *world) noSecret(id string) error {
	for key, value := range w.Stored(w.t) {
		if strings.Contains(key+value, id) {
			return fmt.Errorf("%q holds the secret ID", key)
		}
	}
	return nil
}

func TestUsesAreCounted(t *testing.T) {
	w := newWorld(t, `{"secret_id_num_uses":3}`)
	id, _ := w.secret("")
	for i := range 3 {
		if i == 1 {
			w.Conflict() // a login that is run again takes one use
		}
		if _, err := w.login(id, ""); err != nil {
			t.Fatalf("use %d: %v", i+1, err)
		}
	}
	if _, err := w.login(id, ""); !errs.Is(err, errs.Invalid) || err.Error() != "invalid role or secret ID" {
		t.Errorf("a fourth use: %v", err)
	}
	if keys := w.ok(engine.List, "role/app/secret-id/", "")["keys"]; len(keys.([]any)) != 0 {
		t.Errorf("left: %v", keys)
	}
}

func TestSecretIDsEnd(t *testing.T) {
	w := newWorld(t, `{"secret_id_ttl":"90m"}`)
	id, accessor := w.secret("")
	if m := w.ok(engine.Update, "role/app/secret-id-accessor/lookup", `{"secret_id_accessor":"`+accessor+`"}`); m["secret_id_ttl"] != 5400.0 {
		t.Errorf("%v", m)
	}
	w.Advance(90*time.Minute - time.Second)
	if _, err := w.login(id, ""); err != nil {
		t.Error(err)
	}
	w.Advance(time.Second)
	if _, err := w.login(id, ""); !errs.Is(err, errs.Invalid) {
		t.Errorf("after its end: %v", err)
	}
	if next, err := w.Work(); err != nil || next.IsZero() {
		t.Fatal(next, err)
	}
	w.Advance(time.Hour)
	if _, err := w.Work(); err != nil {
		t.Fatal(err)
	}
	for key := range w.Stored(t) {
		if strings.HasPrefix(key, "secret/") || strings.HasPrefix(key, "accessor/") || strings.HasPrefix(key, dueFolder) {
			t.Errorf("left: %q", key)
		}
	}
}

// A role that is made again under its name has nothing of the old one.
func TestDeletedRoleLeavesNothing(t *testing.T) {
	w := newWorld(t, `{"role_id":"rid","secret_id_ttl":"1h"}`)
	var id string
	for range 250 {
		id, _ = w.secret("")
	}
	w.ok(engine.Delete, "role/app", "")
	if w.Woken() == 0 {
		t.Error("nobody is woken to delete the secret IDs")
	}
	w.ok(engine.Update, "role/app", `{"role_id":"rid"}`)
	if _, err := w.login(id, ""); !errs.Is(err, errs.Invalid) {
		t.Errorf("the old role's secret ID: %v", err)
	}
	if _, err := w.Work(); err != nil {
		t.Fatal(err)
	}
	for key := range w.Stored(t) {
		if strings.HasPrefix(key, "secret/") || strings.HasPrefix(key, goneFolder) || strings.HasPrefix(key, dueFolder) {
			t.Fatalf("left: %q", key)
		}
	}
}

func TestAddresses(t *testing.T) {
	w := newWorld(t, `{"secret_id_bound_cidrs":"10.0.0.0/8","token_bound_cidrs":"10.1.0.0/16,10.2.0.0/16"}`)
	id, _ := w.secret(`{"cidr_list":"10.1.0.0/24","token_bound_cidrs":["10.1.0.0/17"]}`)
	for from, ok := range map[string]bool{"10.1.0.9": true, "10.1.1.9": false, "10.2.0.1": false, "192.0.2.1": false, "::ffff:10.1.0.9": true} {
		a, err := w.login(id, from)
		if ok != (err == nil) || err != nil && !errs.Is(err, errs.Invalid) {
			t.Errorf("from %s: %v", from, err)
		}
		if ok && (len(a.Params.BoundCIDRs) != 1 || a.Params.BoundCIDRs[0] != netip.MustParsePrefix("10.1.0.0/17")) {
			t.Errorf("token bound to %v", a.Params.BoundCIDRs)
		}
	}
	if _, err := w.Do(engine.Update, "role/app/secret-id", `{"cidr_list":"11.0.0.0/8"}`); !errs.Is(err, errs.Invalid) {
		t.Errorf("a wider network: %v", err)
	}
}

func TestRolesWithoutSecretIDs(t *testing.T) {
	w := newWorld(t, `{"bind_secret_id":false,"token_bound_cidrs":"192.0.2.0/24"}`)
	if a, err := w.login("", "192.0.2.5"); err != nil || a.Metadata["role_name"] != "app" {
		t.Errorf("%+v, %v", a, err)
	}
	if _, err := w.login("", "198.51.100.1"); !errs.Is(err, errs.Invalid) {
		t.Errorf("from elsewhere: %v", err)
	}
	if _, err := w.Do(engine.Update, "role/app/secret-id", ""); !errs.Is(err, errs.Invalid) {
		t.Errorf("a secret ID for it: %v", err)
	}
}

func FuzzSecretIDBodies(f *testing.F) {
	f.Add(`{"metadata":"{\"a\":1}","ttl":"1h","cidr_list":"10.0.0.1"}`)
	f.Add(`{"metadata":"x","num_uses":-1}`)
	f.Add(`{"metadata":{"a":{}},"token_bound_cidrs":["::1/128"]}`)
	f.Fuzz(func(t *testing.T, raw string) {
		body, err := engine.ParseBody([]byte(raw))
		if err != nil {
			return
		}
		s, err := newSecretID(&engine.Request{Body: body, Time: time.Now()}, &role{})
		if err != nil {
			if !errs.Is(err, errs.Invalid) {
				t.Errorf("%v", err)
			}
			return
		}
		stored, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeSecretID(stored); err != nil {
			t.Errorf("what was accepted cannot be read: %v", err)
		}
	})
}

// withAccessor is the method with two secret IDs whose accessors are known.
func withAccessor(cfg engine.Config) (engine.Engine, error) {
	e, err := New(cfg)
	return &prepared{e.(*Engine)}, err
}
