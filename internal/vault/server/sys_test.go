package server_test

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

// §1.1 row 9, §2.3, §2.5: both places of policies.
func TestPolicies(t *testing.T) {
	v := testenv.Start(t, nil)
	sys := v.Sys()
	const text = `path "secret/*" { capabilities = ["read"] }`
	check(t, sys.PutPolicy("app", text))
	if got := must[string](t)(sys.GetPolicy("app")); got != text {
		t.Errorf("the policy is %q", got)
	}
	wantKeys(t, "policies/acl", data(t, send(v, "GET", "sys/policies/acl/app", "")), "name", "policy")
	legacy := data(t, send(v, "GET", "sys/policy/app", ""))
	if legacy["rules"] != text || legacy["name"] != "app" {
		t.Errorf("sys/policy: %v", legacy)
	}
	names := must[[]string](t)(sys.ListPolicies())
	if !slices.Equal(names, []string{"app", "default", "root"}) {
		t.Errorf("policies %q", names)
	}
	wantStatus(t, send(v, "PUT", "sys/policy/older", `{"rules":"path \"a\" { policy = \"read\" }"}`), 204)
	wantStatus(t, send(v, "PUT", "sys/policies/acl/coded", `{"policy":"`+base64.StdEncoding.EncodeToString([]byte(text))+`"}`), 204)
	if got := must[string](t)(sys.GetPolicy("coded")); got != text {
		t.Errorf("written in base64 it is %q", got)
	}
	wantStatus(t, send(v, "PUT", "sys/policies/acl/json", `{"policy":"{\"path\":{\"a\":{\"capabilities\":[\"read\"]}}}"}`), 204)
	a := send(v, "PUT", "sys/policies/acl/MiXed", `{"policy":"path \"a\" {}"}`) // row 9: 200 and a warning
	if a.Status != 200 || !strings.Contains(a.Body, `"warnings":["`) || must[string](t)(sys.GetPolicy("mixed")) == "" {
		t.Errorf("a name in capitals: %d %s", a.Status, a.Body)
	}
	check(t, sys.DeletePolicy("app"))
	check(t, sys.DeletePolicy("app"))
	if got, err := sys.GetPolicy("app"); got != "" || err != nil {
		t.Errorf("a deleted policy: %q, %v", got, err)
	}
	wantErrors(t, send(v, "GET", "sys/policies/acl/app", ""), 404)
	if got := must[string](t)(sys.GetPolicy("default")); !strings.Contains(got, "lookup-self") {
		t.Errorf("the default policy is %q", got)
	}
}

// §2.3: what no policy may be. Class of CVE-2025-5999 and -64761: capitals are
// no way to the policy root.
func TestPoliciesRefused(t *testing.T) {
	v := testenv.Start(t, nil)
	for name, c := range map[string]struct{ policy, text, want string }{
		"unknown key":        {"p", `path "a" { capabilities = ["read"] color = "red" }`, "color"},
		"unknown block":      {"p", `paths "a" { capabilities = ["read"] }`, "paths"},
		"unknown capability": {"p", `path "a" { capabilities = ["write"] }`, "write"},
		"unknown legacy":     {"p", `path "a" { policy = "some" }`, "some"},
		"glob with plus":     {"p", `path "a/+*" { capabilities = ["read"] }`, "+*"},
		"dots":               {"p", `path "a/../b" { capabilities = ["read"] }`, ".."},
		"not HCL":            {"p", `path "a" {`, "line"},
		"duplicate path":     {"p", `{"path":{"a":{"capabilities":["read"]},"a":{"capabilities":["deny"]}}}`, ""},
		"empty":              {"p", ``, "not supplied or empty"},
		"root":               {"root", `path "a" {}`, "root"},
		"ROOT":               {"ROOT", `path "a" {}`, "root"},
		"response-wrapping":  {"response-wrapping", `path "a" {}`, "response-wrapping"},
		"bad name":           {"p%20q", `path "a" {}`, "policy name"},
	} {
		a := send(v, "PUT", "sys/policies/acl/"+c.policy, `{"policy":`+quote(c.text)+`}`)
		if a.Status != 400 || !strings.Contains(a.Body, c.want) {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	for _, name := range []string{"root", "Root", "default", "DEFAULT", "response-wrapping"} {
		wantStatus(t, send(v, "DELETE", "sys/policies/acl/"+name, ""), 400)
	}
	if names := must[[]string](t)(v.Sys().ListPolicies()); !slices.Equal(names, []string{"default", "root"}) {
		t.Errorf("policies %q after only refused writes", names)
	}
}

// §1.1 row 10.
func TestCapabilities(t *testing.T) {
	v := testenv.Start(t, nil)
	token := v.Policy("app", `path "secret/data/app/*" { capabilities = ["read", "list", "create"] }
		path "secret/data/app/private" { capabilities = ["deny"] }`)
	client := v.NewClient(token)
	for path, want := range map[string]string{
		"secret/data/app/x": "create,list,read", "secret/data/app/private": "deny", "secret/data/other": "deny", "auth/token/lookup-self": "read",
	} {
		self := must[[]string](t)(client.Sys().CapabilitiesSelf(path))
		asRoot := must[[]string](t)(v.Sys().Capabilities(token, path))
		if strings.Join(self, ",") != want || !slices.Equal(self, asRoot) {
			t.Errorf("%s: self %q, by root %q; want %s", path, self, asRoot, want)
		}
	}
	if got := must[[]string](t)(v.Sys().CapabilitiesSelf("anything")); !slices.Equal(got, []string{"root"}) {
		t.Errorf("root may %q", got)
	}
	accessor := must[string](t)(must[*vault.Secret](t)(client.Auth().Token().LookupSelf()).TokenAccessor())
	if got := must[[]string](t)(v.Sys().CapabilitiesAccessor(accessor, "secret/data/app/x")); len(got) != 3 {
		t.Errorf("by accessor %q", got)
	}
	two := data(t, send(v, "POST", "sys/capabilities-self", `{"path":"a,b"}`, "X-Vault-Token", token))
	wantKeys(t, "two paths", two, "a", "b")
	one := data(t, send(v, "POST", "sys/capabilities-self", `{"paths":"a"}`, "X-Vault-Token", token))
	wantKeys(t, "one path", one, "a", "capabilities")
	for name, c := range map[string][3]string{
		"no path":        {"capabilities-self", `{}`, "missing paths"},
		"no token":       {"capabilities", `{"paths":["a"]}`, "missing token"},
		"unknown token":  {"capabilities", `{"token":"hvs.canary","paths":["a"]}`, "invalid token"},
		"no accessor":    {"capabilities-accessor", `{"paths":["a"]}`, "invalid accessor"},
		"wrong accessor": {"capabilities-accessor", `{"accessor":"canary","paths":["a"]}`, "invalid accessor"},
	} {
		a := send(v, "POST", "sys/"+c[0], c[1])
		if a.Status != 400 || !strings.Contains(a.Body, c[2]) || strings.Contains(a.Body, "canary") {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	// The default policy lets a token ask about itself and about nobody else.
	wantErrors(t, send(v, "POST", "sys/capabilities", `{"token":"x","paths":["a"]}`, "X-Vault-Token", token), 403, textDenied)
}

// §1.1 row 25; class of CVE-2025-6000: a device writes only below its directory.
func TestAuditDevices(t *testing.T) {
	v := testenv.Start(t, nil)
	sys := v.Sys()
	wantKeys(t, "sys/audit of a new vault", must[map[string]*vault.Audit](t)(sys.ListAudit()), "file/")
	check(t, sys.EnableAuditWithOptions("second", &vault.EnableAuditOptions{Type: "file", Description: "d", Options: map[string]string{"file_path": "second.log"}}))
	all := must[map[string]*vault.Audit](t)(sys.ListAudit())
	wantKeys(t, "sys/audit", all, "file/", "second/")
	if d := all["second/"]; d.Type != "file" || d.Description != "d" || d.Options["file_path"] != "second.log" {
		t.Errorf("the device is %+v", d)
	}
	wantStatus(t, send(v, "GET", "sys/key-status", ""), 200)
	for _, name := range []string{"second.log", "audit.log"} {
		lines := must[[]byte](t)(os.ReadFile(filepath.Join(filepath.Dir(v.AuditFile()), name)))
		if !strings.Contains(string(lines), `"sys/key-status"`) {
			t.Errorf("%s lacks the request", name)
		}
	}
	hash := must[string](t)(sys.AuditHash("second", "value"))
	if !strings.HasPrefix(hash, "hmac-sha256:") || hash == must[string](t)(sys.AuditHash("file", "value")) {
		t.Errorf("hash %q", hash)
	}
	for name, c := range map[string][2]string{
		"again":          {"second", `{"type":"file","options":{"file_path":"third.log"}}`},
		"no type":        {"x", `{}`},
		"unknown type":   {"x", `{"type":"socket"}`},
		"outside":        {"x", `{"type":"file","options":{"file_path":"/etc/cron.d/x"}}`},
		"up":             {"x", `{"type":"file","options":{"file_path":"../x.log"}}`},
		"same file":      {"x", `{"type":"file","options":{"file_path":"second.log"}}`},
		"executable":     {"x", `{"type":"file","options":{"file_path":"x.sh","mode":"0777"}}`},
		"unknown option": {"x", `{"type":"file","options":{"file_path":"x.log","fil_path":"y"}}`},
		"no path":        {"x", `{"type":"file"}`},
	} {
		if a := send(v, "PUT", "sys/audit/"+c[0], c[1]); a.Status != 400 && (a.Status != 503 || name != "same file") {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	wantKeys(t, "sys/audit", must[map[string]*vault.Audit](t)(sys.ListAudit()), "file/", "second/")
	check(t, sys.DisableAudit("second"))
	check(t, sys.DisableAudit("second"))
	_, err := sys.AuditHash("second", "value")
	wantFailure(t, err, 404, "no audit device")
	token := v.Policy("nosudo", `path "sys/audit*" { capabilities = ["create", "read", "update", "delete"] }`)
	wantErrors(t, send(v, "GET", "sys/audit", "", "X-Vault-Token", token), 403, textDenied)
	wantErrors(t, send(v, "DELETE", "sys/audit/file", "", "X-Vault-Token", token), 403, textDenied)
}

// §1.1: key-status and rotate by the client; what was written before is read after.
func TestRotate(t *testing.T) {
	v := start(t)
	check(t, v.KVv1("kv").Put(t.Context(), "a", map[string]any{"x": "1"}))
	before := must[*vault.KeyStatus](t)(v.Sys().KeyStatus())
	check(t, v.Sys().Rotate())
	after := must[*vault.KeyStatus](t)(v.Sys().KeyStatus())
	if before.Term != 1 || after.Term != 2 || after.InstallTime.IsZero() || after.InstallTime.Before(before.InstallTime) {
		t.Errorf("term %d at %v became %d at %v", before.Term, before.InstallTime, after.Term, after.InstallTime)
	}
	must[*vault.KVSecret](t)(v.KVv1("kv").Get(t.Context(), "a"))
	v.Restart()
	v.Unseal()
	must[*vault.KVSecret](t)(v.KVv1("kv").Get(t.Context(), "a"))
	token := v.Policy("nosudo", `path "sys/rotate" { capabilities = ["update"] }`)
	wantErrors(t, send(v, "PUT", "sys/rotate", "", "X-Vault-Token", token), 403, textDenied)
}

// §2.3: the paths that ask for sudo besides the operation.
func TestSudoPaths(t *testing.T) {
	v := testenv.Start(t, nil)
	all := `capabilities = ["create", "read", "update", "delete", "list"]`
	plain := v.Policy("plain", `path "*" { `+all+` }`)
	sudo := v.Policy("sudo", `path "*" { `+strings.Replace(all, `"list"`, `"list", "sudo"`, 1)+` }`)
	for _, c := range [][3]string{
		{"GET", "sys/audit", ""}, {"PUT", "sys/audit/x", `{"type":"file","options":{"file_path":"x.log"}}`}, {"DELETE", "sys/audit/x", ""},
		{"POST", "sys/auth/x", `{"type":"kubernetes"}`}, {"GET", "sys/auth/x/tune", ""}, {"POST", "sys/auth/x/tune", `{}`}, {"DELETE", "sys/auth/x", ""},
		{"PUT", "sys/rotate", ""}, {"POST", "sys/remount", `{"from":"none","to":"x"}`}, {"PUT", "sys/step-down", ""},
		{"LIST", "auth/token/accessors", ""}, {"PUT", "auth/token/revoke-orphan", `{"token":"x"}`}, {"PUT", "sys/seal", ""},
	} {
		wantErrors(t, send(v, c[0], c[1], c[2], "X-Vault-Token", plain), 403, textDenied)
		if a := send(v, c[0], c[1], c[2], "X-Vault-Token", sudo); a.Status == 403 {
			t.Errorf("%s %s with sudo: %s", c[0], c[1], a.Body)
		}
	}
}

// A field that a route does not know is ignored with a warning (§2.1).
func TestUnknownFields(t *testing.T) {
	v := start(t)
	const warning = `"warnings":["Endpoint ignored these unrecognised parameters: [tyep]"]`
	for _, c := range [][3]string{
		{"POST", "sys/mounts/new", `{"type":"kv","tyep":"x"}`},
		{"POST", "sys/mounts/new/tune", `{"tyep":"x"}`},
		{"PUT", "sys/policies/acl/p", `{"policy":"path \"a\" {}","tyep":"x"}`},
		{"POST", "auth/token/create", `{"tyep":"x"}`},
		{"PUT", "secret/data/a", `{"data":{"tyep":"x"},"tyep":"x"}`},
		{"PUT", "secret/metadata/a", `{"tyep":"x"}`},
	} {
		a := send(v, c[0], c[1], c[2])
		if a.Status != 200 || !strings.Contains(a.Body, warning) {
			t.Errorf("%s: %d %s", c[1], a.Status, a.Body)
		}
	}
	wantStatus(t, send(v, "PUT", "kv/a", `{"tyep":"x"}`), 204)
	wantStatus(t, send(v, "PUT", "cubbyhole/a", `{"tyep":"x"}`), 204)
	if a := send(v, "PUT", "secret/data/a", `{"data":{"tyep":"x"}}`); strings.Contains(a.Body, "unrecognised") {
		t.Errorf("a field of a secret is warned of: %s", a.Body)
	}
}
