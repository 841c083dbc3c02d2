package vaultdynamic_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator"
	"github.com/strongkeep/strongkeep/internal/kube/generator/generatortest"
	"github.com/strongkeep/strongkeep/internal/kube/generator/vaultdynamic"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault/vaulttest"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

func server(t *testing.T) *vaulttest.Server {
	s := vaulttest.New().Start(t)
	s.TTL, s.Renewable, s.RoleID, s.SecretID = 3600, true, "role", "canary-secret-id"
	s.Lend("database/creds/app", 600)
	return s
}

func spec(server, rest string) string {
	return `{"provider":{"server":"` + server + `","auth":{"appRole":{"roleId":"role","secretRef":{"name":"login","key":"id"}}}},` + rest + `}`
}

var objects = generatortest.Cluster{"Secret/login": {"id": "canary-secret-id", "token": "root"}}

func TestSuite(t *testing.T) {
	s := server(t)
	generatortest.Run(t, generatortest.Subject{
		Kind: vaultdynamic.Kind{}, Spec: spec(s.URL, `"path":"/database/creds/app"`), Cluster: objects, Keys: []string{"username", "password"},
		Hidden: []string{"canary"}, Alive: func() int { return len(s.Leases()) },
		Break: func() func() { s.Fail(503); return func() { s.Fail(0) } },
	})
}

// A token of a vault of ours, from the first login to the last revocation.
func TestTokensOfARealVault(t *testing.T) {
	v := testenv.Start(t, nil)
	ca := generatortest.Cluster{}
	root := v.NewClient(v.Root)
	write := func(path string, body map[string]any) map[string]any {
		t.Helper()
		answer, err := root.Logical().WriteWithContext(t.Context(), path, body)
		if err != nil {
			t.Fatal(err)
		}
		if answer == nil {
			return nil
		}
		return answer.Data
	}
	write("sys/policies/acl/maker", map[string]any{"policy": `
path "auth/token/create" { capabilities = ["update", "sudo"] }
path "auth/token/renew-accessor" { capabilities = ["update"] }
path "auth/token/revoke-accessor" { capabilities = ["update"] }`})
	write("sys/auth/approle", map[string]any{"type": "approle"})
	write("auth/approle/role/maker", map[string]any{"token_policies": "maker", "token_ttl": "1h"})
	role, err := root.Logical().ReadWithContext(t.Context(), "auth/approle/role/maker/role-id")
	if err != nil {
		t.Fatal(err)
	}
	ca["Secret/login"] = map[string]string{"id": write("auth/approle/role/maker/secret-id", map[string]any{})["secret_id"].(string)}
	provider := map[string]any{"server": v.Server.URL(), "auth": map[string]any{"appRole": map[string]any{
		"roleId": role.Data["role_id"], "secretRef": map[string]string{"name": "login", "key": "id"}}}}
	if file := v.Server.CAFile(); file != "" {
		provider["caProvider"] = map[string]string{"type": "Secret", "name": "ca", "key": "ca.crt"}
		ca["Secret/ca"] = map[string]string{"ca.crt": read(t, file)}
	}
	raw, err := json.Marshal(map[string]any{"provider": provider, "path": "auth/token/create", "method": "POST", "resultType": "Auth",
		"parameters": map[string]any{"ttl": "30m", "policies": []string{"default"}}})
	if err != nil {
		t.Fatal(err)
	}
	cfg := generatortest.Config(ca, string(raw))
	made, err := vaultdynamic.Kind{}.Generate(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	token := made.Data["client_token"].RevealString()
	works := func() bool {
		_, err := v.NewClient(token).Auth().Token().LookupSelfWithContext(t.Context())
		return err == nil
	}
	if !works() || made.Expires.IsZero() || !made.Renewable || strings.Contains(string(made.Known), token) {
		t.Fatalf("the token works: %t, ends %s, renewable %t", works(), made.Expires, made.Renewable)
	}
	if expires, err := (vaultdynamic.Kind{}).Renew(t.Context(), cfg, made.Known); err != nil || expires.Before(made.Expires) {
		t.Errorf("renewing: %v, until %s", err, expires)
	}
	for range 2 {
		if err := (vaultdynamic.Kind{}).Revoke(t.Context(), cfg, made.Known); err != nil || works() {
			t.Errorf("revoking: %v, and it works: %t", err, works())
		}
	}
}

// The parts of an answer, and what is refused with advice.
func TestResults(t *testing.T) {
	s := server(t)
	s.Answer = func(method, path string, body []byte) (int, any, bool) {
		switch method + " " + path {
		case "PUT pki/issue/web":
			var in map[string]any
			_ = json.Unmarshal(body, &in)
			return http.StatusOK, map[string]any{"certificate": in["common_name"], "ca_chain": []string{"a"}}, true
		case "GET mine/creds?role=x":
			return http.StatusOK, map[string]any{"role": "x"}, true
		case "GET nothing/here":
			return http.StatusOK, nil, true
		}
		return 0, nil, false
	}
	for rest, want := range map[string]map[string]string{
		`"path":"pki/issue/web","method":"POST","parameters":{"common_name":"a.example"}`: {"certificate": "a.example", "ca_chain": `["a"]`},
		`"path":"mine/creds","getParameters":{"role":["x"]}`:                              {"role": "x"},
		`"path":"nothing/here","allowEmptyResponse":true`:                                 {},
	} {
		made, err := vaultdynamic.Kind{}.Generate(t.Context(), generatortest.Config(objects, spec(s.URL, rest)))
		if err != nil {
			t.Errorf("%s: %v", rest, err)
			continue
		}
		got := map[string]string{}
		for key, v := range made.Data {
			got[key] = v.RevealString()
		}
		if !maps.Equal(got, want) || made.Known != nil || !made.Expires.IsZero() {
			t.Errorf("%s: %v, known %s", rest, got, made.Known)
		}
	}
	made, err := vaultdynamic.Kind{}.Generate(t.Context(), generatortest.Config(objects, spec(s.URL, `"path":"database/creds/app","resultType":"Raw"`)))
	if err != nil || !strings.Contains(made.Data["data"].RevealString(), `"username"`) || made.Data["lease_id"].Empty() {
		t.Errorf("Raw: %v", err)
	}
	if n := s.Tokens(); n != 1 { // the one of the lease
		t.Errorf("%d logins are left", n)
	}
	for rest, words := range map[string]string{
		`"path":"nothing/here"`:                            "spec.allowEmptyResponse",
		`"path":""`:                                        "spec.path",
		`"path":"a/../b"`:                                  "..",
		`"path":"a","method":"PATCH"`:                      "spec.method",
		`"path":"a","resultType":"All"`:                    "spec.resultType",
		`"path":"database/creds/app","resultType":"Auth"`:  "spec.resultType to Data",
		`"path":"a","retrySettings":{"maxRetries":99}`:     "maxRetries",
		`"path":"a","retrySettings":{"retryInterval":"x"}`: "retryInterval",
	} {
		before := len(s.Leases())
		_, err := vaultdynamic.Kind{}.Generate(t.Context(), generatortest.Config(objects, spec(s.URL, rest)))
		if err == nil || !strings.Contains(err.Error(), words) || len(s.Leases()) != before {
			t.Errorf("%s: %v, want %q; %d leases, %d before", rest, err, words, len(s.Leases()), before)
		}
	}
}

// What came to nothing leaves nothing: the login is ended, and the vault takes back
// what was made for it, also a lease that we never heard of.
func TestLostAnswer(t *testing.T) {
	s := server(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s.Check = func(r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/creds/app") {
			cancel() // the operator ends while the vault makes the user
		}
	}
	if _, err := (vaultdynamic.Kind{}).Generate(ctx, generatortest.Config(objects, spec(s.URL, `"path":"database/creds/app"`))); err == nil {
		t.Fatal("it worked")
	}
	if len(s.Leases()) != 0 || s.Tokens() != 0 {
		t.Errorf("%d leases and %d logins are left", len(s.Leases()), s.Tokens())
	}
}

// Killed before the answer: by what was noted the credential is taken back.
func TestKilledBeforeTheAnswer(t *testing.T) {
	s := server(t)
	cfg := generatortest.Config(objects, spec(s.URL, `"path":"database/creds/app"`))
	var noted json.RawMessage
	cfg.Note = func(_ context.Context, known json.RawMessage) error {
		noted = known
		return nil
	}
	if _, err := (vaultdynamic.Kind{}).Generate(t.Context(), cfg); err != nil || len(s.Leases()) != 1 {
		t.Fatal(err)
	}
	if err := (vaultdynamic.Kind{}).Revoke(t.Context(), cfg, noted); err != nil || len(s.Leases()) != 0 || s.Tokens() != 0 {
		t.Errorf("%v: %d leases and %d logins are left", err, len(s.Leases()), s.Tokens())
	}
}

// GHSA-fq7h-9x26-6j22: a generator reads only the namespace that uses it.
func TestOtherNamespace(t *testing.T) {
	s := server(t)
	text := strings.Replace(spec(s.URL, `"path":"database/creds/app"`), `"name":"login"`, `"name":"login","namespace":"other"`, 1)
	_, err := vaultdynamic.Kind{}.Generate(t.Context(), generatortest.Config(objects, text))
	if !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), `reads only the namespace that uses it, here "team"`) {
		t.Error(err)
	}
}

// A token from a Secret is others' too: it is not ended with the credential.
func TestGivenToken(t *testing.T) {
	s := server(t)
	cfg := generatortest.Config(objects, `{"provider":{"server":"`+s.URL+`","auth":{"tokenSecretRef":{"name":"login","key":"token"}}},"path":"database/creds/app"}`)
	made, err := vaultdynamic.Kind{}.Generate(t.Context(), cfg)
	if err != nil || len(s.Leases()) != 1 {
		t.Fatal(err)
	}
	var k generator.Revoker = vaultdynamic.Kind{}
	if err := k.Revoke(t.Context(), cfg, made.Known); err != nil || len(s.Leases()) != 0 || s.Count("auth/token/revoke-self") != 0 {
		t.Errorf("%v: %d leases are left", err, len(s.Leases()))
	}
	// What came and cannot be used does not end with that login, and is taken back.
	cfg.Spec = json.RawMessage(strings.TrimSuffix(string(cfg.Spec), "}") + `,"resultType":"Auth"}`)
	if _, err := k.Generate(t.Context(), cfg); !errs.Is(err, errs.Invalid) || len(s.Leases()) != 0 {
		t.Errorf("%v: %d leases are left", err, len(s.Leases()))
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
