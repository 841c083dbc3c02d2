package conformance_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

// The tests of this file are the holes others fell into (§6) that no engine,
// method or part of ours has a test for by itself: those are beside the code
// they guard, with the same names.

// CVE-2026-5807: who has no token begins, sees and cancels nobody's rekey or generation of a
// root token. Dropping shares needs a sealed vault. TestNeedsATokenOrAShare of sys/custody has the rest.
func TestCVE20265807NothingToCancelWithoutAToken(t *testing.T) {
	v := testenv.Start(t, nil)
	before := must[*vault.SealStatusResponse](t)(v.Sys().SealStatus())
	rekey := must[*vault.RekeyStatusResponse](t)(v.Sys().RekeyInit(&vault.RekeyInitRequest{SecretShares: 2, SecretThreshold: 2}))
	root := must[*vault.GenerateRootStatusResponse](t)(v.Sys().GenerateRootInit("", ""))
	for _, path := range []string{"sys/rekey/init", "sys/rekey-recovery-key/init", "sys/rekey/backup", "sys/generate-root/attempt"} {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			switch {
			case path == "sys/generate-root/attempt" && method == "GET":
				if a := send(v, method, path, `{}`, "X-Vault-Token", ""); a.Status != 200 || strings.Contains(a.Body, root.Nonce) {
					t.Errorf("%s %s tells the nonce, or not that one is under way: %d", method, path, a.Status)
				}
			default:
				if a := send(v, method, path, `{}`, "X-Vault-Token", ""); a.Status != 403 && a.Status != 405 {
					t.Errorf("%s %s without a token: %s", method, path, a.Body)
				}
			}
		}
	}
	if s := must[*vault.RekeyStatusResponse](t)(v.Sys().RekeyStatus()); s.Nonce != rekey.Nonce {
		t.Error("the rekey was changed")
	}
	if s := must[*vault.GenerateRootStatusResponse](t)(v.Sys().GenerateRootStatus()); s.Nonce != root.Nonce {
		t.Error("the root token was changed")
	}
	for _, path := range []string{
		"sys/generate-root-token/attempt", "sys/generate-recovery-token/attempt", "sys/replication/dr/secondary/generate-operation-token/attempt",
	} {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			wantErrors(t, send(v, method, path, `{}`, "X-Vault-Token", ""), 403, "permission denied")
			wantErrors(t, send(v, method, path, `{}`), 404, unsupported)
		}
	}
	for _, body := range []string{`{"reset":true}`, `{"key":"00","reset":true}`} {
		want(t, send(v, "PUT", "sys/unseal", body, "X-Vault-Token", ""), 400, "errors")
	}
	for _, path := range []string{"sys/seal", "sys/step-down", "sys/rotate"} {
		wantErrors(t, send(v, "PUT", path, `{}`, "X-Vault-Token", ""), 403, "permission denied")
	}
	if after := must[*vault.SealStatusResponse](t)(v.Sys().SealStatus()); after.Sealed || after.ClusterID != before.ClusterID {
		t.Errorf("the vault was %+v and is %+v", before, after)
	}
}

// CVE-2026-3605: no policy names a path by way of "..", and no request reaches
// by it what its policy does not name.
func TestCVE20263605DotsLeadNowhere(t *testing.T) {
	v := start(t)
	write(t, v.Client, "kv/private/x", object{"k": "canary"})
	for _, path := range []string{"kv/open/../private/*", "kv/open/..", "../kv/x", "kv/./x", "kv/+/../private/x", "kv/open/../*"} {
		want(t, send(v, "PUT", "sys/policies/acl/p", fmt.Sprintf(`{"policy":"path \"%s\" { capabilities = [\"read\"] }"}`, path)), 400, path)
	}
	app := v.Policy("app", `path "kv/open/*" { capabilities = ["create", "read", "update", "delete", "list"] }
		path "kv/+/shared/*" { capabilities = ["read"] }`)
	for _, path := range []string{
		"kv/open/../private/x", "kv/open/%2e%2e/private/x", "kv/open/.%2e/private/x", "kv/open%2f..%2fprivate/x", "kv/open/..%2fprivate/x",
		"kv/open/%252e%252e/private/x", "kv/x/shared/../../private/x", "kv/open/./../private/x", `kv/open/..%5cprivate/x`, "kv/open/..;/private/x",
	} {
		for _, method := range []string{"GET", "PUT", "LIST", "DELETE"} {
			if a := send(v, method, path, `{"k":"theirs"}`, "X-Vault-Token", app); a.Status < 400 && !(method == "DELETE" || method == "PUT") || strings.Contains(a.Body, "canary") {
				t.Errorf("%s %s: %d %s", method, path, a.Status, a.Body)
			}
		}
	}
	if s := read(t, v.Client, "kv/private/x"); s.Data["k"] != "canary" {
		t.Errorf("what no policy names was changed: %v", s.Data)
	}
}

// GHSA-xp3c-3jw3-4vcr: a folder that is denied is not listed, however the
// folder and the verb are spelled. (A rule for team/+ names keys; team/+/ is for folders.)
func TestGHSAxp3c3jw34vcrListDoesNotPassADeny(t *testing.T) {
	v := start(t)
	for _, path := range []string{"kv/team/db/x", "secret/data/team/db/x"} {
		write(t, v.Client, path, object{"data": object{"k": "v"}})
	}
	for _, rule := range []string{"team/db/", "team/db", "team/db/*", "team/db*", "team/+/", "+/db/"} {
		token := v.Policy("p", `path "kv/*" { capabilities = ["list", "read"] }
			path "secret/metadata/*" { capabilities = ["list"] }
			path "kv/`+rule+`" { capabilities = ["deny"] }
			path "secret/metadata/`+rule+`" { capabilities = ["deny"] }`)
		for _, folder := range []string{"kv/team/db", "kv/team/db/", "secret/metadata/team/db", "secret/metadata/team/db/"} {
			for _, a := range []testenv.Answer{
				send(v, "LIST", folder, "", "X-Vault-Token", token), send(v, "GET", folder+"?list=true", "", "X-Vault-Token", token),
			} {
				if a.Status != 403 {
					t.Errorf("deny of %s, listing %s: %d %s", rule, folder, a.Status, a.Body)
				}
			}
		}
		want(t, send(v, "LIST", "kv/", "", "X-Vault-Token", token), 200, "team/") // the rest is not denied
	}
}

// CVE-2025-5999, CVE-2025-64761: root is root in any spelling, and nobody
// comes to it by a policy's name: not by a token, a role of tokens or a login.
func TestCVE20255999And64761RootInAnySpelling(t *testing.T) {
	v := testenv.Start(t, nil)
	check(t, v.Sys().EnableAuthWithOptions("userpass", &vault.EnableAuthOptions{Type: "userpass"}))
	check(t, v.Sys().EnableAuthWithOptions("approle", &vault.EnableAuthOptions{Type: "approle"}))
	admin := v.NewClient(v.Policy("admin", `path "auth/*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }`))
	for i, name := range []string{"root", "ROOT", "Root", "rOOt", " root", "root ", "\troot", "root\n", "ro\u200bot", "ＲＯＯＴ"} {
		for path, body := range map[string]object{
			"auth/token/create":        {"policies": []string{name}},
			"auth/token/create-orphan": {"policies": []string{name}},
			"auth/token/create/role":   {"policies": []string{name}},
		} {
			write(t, v.Client, "auth/token/roles/role", object{"allowed_policies_glob": "*"})
			s, err := admin.Logical().Write(path, body)
			if err == nil {
				mayNothing(t, v, s, path+" "+name)
			}
		}
		user, password := fmt.Sprint("u", i), "correct horse"
		if _, err := admin.Logical().Write("auth/userpass/users/"+user, object{"password": password, "token_policies": []string{name}}); err == nil {
			if s, err := v.NewClient("").Logical().Write("auth/userpass/login/"+user, object{"password": password}); err == nil {
				mayNothing(t, v, s, "a login with "+name)
			}
		}
		if _, err := admin.Logical().Write("auth/approle/role/r", object{"token_policies": name, "bind_secret_id": false, "token_bound_cidrs": "127.0.0.0/8"}); err == nil {
			roleID := read(t, admin, "auth/approle/role/r/role-id").Data["role_id"]
			if s, err := v.NewClient("").Logical().Write("auth/approle/login", object{"role_id": roleID}); err == nil {
				mayNothing(t, v, s, "a role with "+name)
			}
		}
	}
}

// mayNothing fails the test if the token of an answer may do what only root may.
func mayNothing(t *testing.T, v *testenv.Vault, s *vault.Secret, what string) {
	t.Helper()
	if slices.Contains(s.Auth.Policies, "root") {
		t.Errorf("%q has the policy root", what)
	}
	wantErrors(t, send(v, "GET", "sys/mounts", "", "X-Vault-Token", s.Auth.ClientToken), 403, denied)
}

// CVE-2025-6203: a body that is small to send and large to understand is
// refused or answered in no more time than its size asks for, and neither its
// audit line nor anybody else waits for it.
func TestCVE20256203ComplexBodies(t *testing.T) {
	v := start(t)
	many := make([]string, 200_000)
	for i := range many {
		many[i] = fmt.Sprintf(`"k%d":"v"`, i)
	}
	bodies := map[string]string{
		"deep lists":    `{"x":` + strings.Repeat("[", 1<<20) + strings.Repeat("]", 1<<20) + `}`,
		"deep objects":  strings.Repeat(`{"x":`, 1<<18) + "1" + strings.Repeat("}", 1<<18),
		"many names":    "{" + strings.Join(many, ",") + "}",
		"many values":   `{"x":[` + strings.Repeat(`"s",`, 500_000) + `"s"]}`,
		"empty objects": `{"x":[` + strings.Repeat(`{},`, 1_000_000) + `{}]}`,
		"one long text": `{"x":"` + strings.Repeat("a", 8<<20) + `"}`,
	}
	var wait sync.WaitGroup
	for name, body := range bodies {
		for _, target := range []struct{ path, token string }{
			{"kv/x", v.Root}, {"sys/wrapping/unwrap", ""}, {"auth/token/create", v.Root}, {"sys/policies/acl/p", v.Root},
		} {
			wait.Go(func() {
				began := time.Now()
				a := send(v, "PUT", target.path, body, "X-Vault-Token", target.token)
				if a.Status != 204 && a.Status != 200 && (a.Status < 400 || a.Status >= 500) {
					t.Errorf("%s to %s: %d %.200s", name, target.path, a.Status, a.Body)
				}
				if took := time.Since(began); took > 30*time.Second {
					t.Errorf("%s to %s took %s", name, target.path, took)
				}
			})
		}
	}
	wait.Wait()
	want(t, send(v, "PUT", "kv/after", `{"k":"v"}`), 204, "")
}

// CVE-2024-9180: who administers a namespace is not by that root anywhere.
// Entities and groups are in TestCVE20249180IdentityIsNoWayToRoot.
func TestCVE20249180AdminsOfNamespaces(t *testing.T) {
	v := start(t)
	write(t, v.Client, "sys/namespaces/team", nil)
	team := v.NewClient(v.Root)
	team.SetNamespace("team")
	check(t, team.Sys().PutPolicy("all", `path "*" { capabilities = ["create", "read", "update", "delete", "list", "patch", "sudo"] }`))
	s := must[*vault.Secret](t)(team.Auth().Token().CreateOrphan(&vault.TokenCreateRequest{Policies: []string{"all"}}))
	admin := v.NewClient(s.Auth.ClientToken)
	admin.SetNamespace("team")
	for _, name := range []string{"root", "Root"} {
		if _, err := admin.Auth().Token().Create(&vault.TokenCreateRequest{Policies: []string{name}}); err == nil {
			t.Errorf("the admin of a namespace made a token with %q", name)
		}
	}
	for _, path := range []string{"sys/audit", "sys/policies/acl/default", "kv/x", "sys/mounts", "auth/token/accessors?list=true", "sys/namespaces?list=true"} {
		wantErrors(t, send(v, "GET", path, "", "X-Vault-Token", s.Auth.ClientToken), 403, "permission denied")
	}
}

// What others' engines and storage got wrong cannot be wrong where there is none
// of it. Who adds one of these finds its advisory here and writes the test.
func TestAdvisoriesOfWhatIsNotHere(t *testing.T) {
	v := testenv.Start(t, nil)
	for advisory, c := range map[string]struct{ method, path, body, text string }{
		"CVE-2025-6014, CVE-2025-6015 (a TOTP code used twice)":          {"POST", "sys/mounts/totp", `{"type":"totp"}`, "totp"},
		"CVE-2025-6015 (a second factor tried without limit)":            {"PUT", "sys/mfa/validate", `{"mfa_request_id":"x"}`, "unsupported path"},
		"CVE-2024-8185 (memory of a raft join)":                          {"PUT", "sys/storage/raft/bootstrap/challenge", `{"server_id":"x"}`, "unsupported path"},
		"recovery tokens compared in varying time":                       {"PUT", "sys/generate-recovery-token/update", `{"key":"x"}`, "unsupported path"},
		"CVE-2025-6000 (plugins by way of files)":                        {"PUT", "sys/plugins/catalog/secret/x", `{"command":"x","sha256":"00"}`, ""},
		"CVE-2025-6004 for LDAP (the alias of a name in other spelling)": {"POST", "sys/auth/ldap", `{"type":"ldap"}`, "ldap"},
	} {
		a := send(v, c.method, c.path, c.body)
		var got struct{ Errors []string }
		if err := json.Unmarshal([]byte(a.Body), &got); err != nil || a.Status < 400 || a.Status >= 500 || !strings.Contains(strings.Join(got.Errors, " "), c.text) {
			t.Errorf("%s: %d %s: it is here now, and needs its test", advisory, a.Status, a.Body)
		}
	}
}
