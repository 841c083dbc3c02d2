package server_test

import (
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

// mountKeys are those of one entry of sys/mounts and sys/auth (§2.5).
var mountKeys = []string{
	"type", "description", "accessor", "local", "seal_wrap", "external_entropy_access", "options", "uuid",
	"plugin_version", "running_plugin_version", "running_sha256", "deprecation_status", "config",
}

// §1.1 rows 6 and 7, §2.5.
func TestMounts(t *testing.T) {
	v := testenv.Start(t, nil)
	sys := v.Sys()
	all := must[map[string]*vault.MountOutput](t)(sys.ListMounts())
	wantKeys(t, "sys/mounts of a new vault", all, "cubbyhole/", "identity/", "sys/")
	for path, m := range data(t, send(v, "GET", "sys/mounts", "")) {
		wantKeys(t, path, m.(map[string]any), mountKeys...)
	}
	check(t, sys.Mount("team/kv", &vault.MountInput{
		Type: "kv", Description: "ours", Options: map[string]string{"version": "2"}, SealWrap: true, Local: true,
		Config: vault.MountConfigInput{DefaultLeaseTTL: "1h", MaxLeaseTTL: "48h", ListingVisibility: "unauth", AuditNonHMACRequestKeys: []string{"role"}},
	}))
	m := must[*vault.MountOutput](t)(sys.GetMount("team/kv"))
	if m.Type != "kv" || m.Description != "ours" || m.Options["version"] != "2" || !m.SealWrap || !m.Local || m.UUID == "" || !strings.HasPrefix(m.Accessor, "kv_") {
		t.Errorf("the mount is %+v", m)
	}
	if c := m.Config; c.DefaultLeaseTTL != 3600 || c.MaxLeaseTTL != 48*3600 || c.ListingVisibility != "unauth" || c.AuditNonHMACRequestKeys[0] != "role" {
		t.Errorf("its config is %+v", c)
	}
	for _, taken := range []string{"team/kv", "team/kv/below", "team", "sys", "sys/x", "cubbyhole"} {
		err := sys.Mount(taken, &vault.MountInput{Type: "kv"})
		wantFailure(t, err, 400, "path is already in use at ")
	}
	wantErrors(t, send(v, "POST", "sys/mounts/team/kv/x", `{"type":"kv"}`), 400, "path is already in use at team/kv/")
	check(t, sys.Unmount("team/kv"))
	check(t, sys.Unmount("team/kv")) // §2.5: of an absent mount, 204 too
	wantErrors(t, send(v, "GET", "sys/mounts/team/kv", ""), 400, "No secret engine mount at team/kv/")
	check(t, sys.Mount("team/kv", &vault.MountInput{Type: "kv"}))
	wantStatus(t, send(v, "GET", "team/kv/a", ""), 404)
}

// §2.5: aliases of kv; what cannot be mounted, and why.
func TestMountKinds(t *testing.T) {
	v := testenv.Start(t, nil)
	for kind, version := range map[string]string{"kv-v1": "1", "kv-v2": "2", "generic": "1"} {
		check(t, v.Sys().Mount(kind, &vault.MountInput{Type: kind}))
		m := must[*vault.MountOutput](t)(v.Sys().GetMount(kind))
		if m.Type != "kv" || m.Options["version"] != version {
			t.Errorf("%s became %s %v", kind, m.Type, m.Options)
		}
	}
	for name, c := range map[string]struct{ path, body, text string }{
		"no type":          {"a", `{}`, "missing type"},
		"unknown type":     {"a", `{"type":"nonesuch"}`, "nonesuch"},
		"an auth method":   {"a", `{"type":"kubernetes"}`, "kubernetes"},
		"a system mount":   {"a", `{"type":"system"}`, "system"},
		"kv version 3":     {"a", `{"type":"kv","options":{"version":"3"}}`, "versions 1 and 2"},
		"plugin version":   {"a", `{"type":"kv","plugin_version":"v1"}`, "plugin_version"},
		"default over max": {"a", `{"type":"kv","config":{"default_lease_ttl":"2h","max_lease_ttl":"1h"}}`, "longer than"},
		"bad ttl":          {"a", `{"type":"kv","config":{"default_lease_ttl":"soon"}}`, "default_lease_ttl"},
		"bad visibility":   {"a", `{"type":"kv","config":{"listing_visibility":"all"}}`, "listing_visibility"},
		"token type":       {"a", `{"type":"kv","config":{"token_type":"batch"}}`, "token_type"},
		"config no object": {"a", `{"type":"kv","config":[]}`, "config"},
		"below auth":       {"auth/a", `{"type":"kubernetes"}`, "sys/auth"},
		"wildcard":         {"a*", `{"type":"kv"}`, "characters"},
		"plus":             {"a/+", `{"type":"kv"}`, "characters"},
		"doubled slash":    {"a//b", `{"type":"kv"}`, "segment"},
	} {
		a := send(v, "POST", "sys/mounts/"+c.path, c.body)
		if a.Status != 400 || !strings.Contains(a.Body, c.text) {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	wantKeys(t, "sys/mounts", must[map[string]*vault.MountOutput](t)(v.Sys().ListMounts()), "cubbyhole/", "generic/", "identity/", "kv-v1/", "kv-v2/", "sys/")
	for _, fixed := range []string{"sys", "cubbyhole", "identity"} {
		if a := send(v, "DELETE", "sys/mounts/"+fixed, ""); a.Status != 400 || !strings.Contains(a.Body, "cannot unmount") {
			t.Errorf("unmounting %s: %d %s", fixed, a.Status, a.Body)
		}
	}
}

// §1.1 row 7: tune, also through sys/mounts/auth/P/tune as the client and the CLI do (row 8).
func TestTune(t *testing.T) {
	v := start(t)
	sys := v.Sys()
	before := must[*vault.MountConfigOutput](t)(sys.MountConfig("secret"))
	if before.DefaultLeaseTTL != 2764800 || before.MaxLeaseTTL != 2764800 {
		t.Errorf("an untuned mount shows %+v, want the system's TTLs", before)
	}
	text := "changed"
	check(t, sys.TuneMount("secret", vault.MountConfigInput{DefaultLeaseTTL: "30m", MaxLeaseTTL: "2h", Description: &text, PassthroughRequestHeaders: []string{"X-A"}}))
	after := must[*vault.MountConfigOutput](t)(sys.MountConfig("secret"))
	if after.DefaultLeaseTTL != 1800 || after.MaxLeaseTTL != 7200 || after.PassthroughRequestHeaders[0] != "X-A" {
		t.Errorf("after tuning: %+v", after)
	}
	if m := must[*vault.MountOutput](t)(sys.GetMount("secret")); m.Description != "changed" || m.Options["version"] != "2" {
		t.Errorf("after tuning: %+v", m)
	}
	check(t, sys.TuneMount("secret", vault.MountConfigInput{})) // empty strings change nothing
	if again := must[*vault.MountConfigOutput](t)(sys.MountConfig("secret")); again.DefaultLeaseTTL != 1800 {
		t.Errorf("an empty tuning changed %+v", again)
	}
	wantStatus(t, send(v, "POST", "sys/mounts/secret/tune", `{"default_lease_ttl":"system","max_lease_ttl":0}`), 204)
	if again := must[*vault.MountConfigOutput](t)(sys.MountConfig("secret")); again.DefaultLeaseTTL != 2764800 {
		t.Errorf("system gave %+v", again)
	}
	a := send(v, "POST", "sys/mounts/kv/tune", `{"options":{"version":"2"}}`)
	if a.Status != 400 || !strings.Contains(a.Body, "version of a kv mount") {
		t.Errorf("turning version 1 into 2: %d %s", a.Status, a.Body)
	}
	wantStatus(t, send(v, "POST", "sys/mounts/secret/tune", `{"options":{"version":"2","note":"x"}}`), 204)
	if m := must[*vault.MountOutput](t)(sys.GetMount("secret")); m.Options["note"] != "x" || m.Options["version"] != "2" {
		t.Errorf("options after tuning: %v", m.Options)
	}
	wantErrors(t, send(v, "GET", "sys/mounts/none/tune", ""), 400, "No secret engine mount at none/")
	// §2.2: a v1 read is told the mount's default.
	check(t, sys.TuneMount("kv", vault.MountConfigInput{DefaultLeaseTTL: "10m"}))
	check(t, v.KVv1("kv").Put(t.Context(), "a", map[string]any{"x": "1"}))
	if s := must[*vault.Secret](t)(v.Logical().Read("kv/a")); s.LeaseDuration != 600 {
		t.Errorf("lease_duration %d, want 600", s.LeaseDuration)
	}
}

// §1.1 row 8.
func TestAuthMethods(t *testing.T) {
	v := testenv.Start(t, nil)
	sys := v.Sys()
	wantKeys(t, "sys/auth of a new vault", must[map[string]*vault.AuthMount](t)(sys.ListAuth()), "token/")
	check(t, sys.EnableAuthWithOptions("k8s", &vault.EnableAuthOptions{Type: "kubernetes", Description: "cluster", Config: vault.AuthConfigInput{DefaultLeaseTTL: "1h"}}))
	all := must[map[string]*vault.AuthMount](t)(sys.ListAuth())
	wantKeys(t, "sys/auth", all, "token/", "k8s/")
	if m := all["k8s/"]; m.Type != "kubernetes" || m.Description != "cluster" || m.Config.TokenType != "default-service" || !strings.HasPrefix(m.Accessor, "auth_kubernetes_") {
		t.Errorf("the method is %+v", m)
	}
	one := must[*vault.AuthMount](t)(sys.GetAuth("k8s")) // sys/mounts/auth/k8s
	if one.Accessor != all["k8s/"].Accessor {
		t.Errorf("GetAuth: %+v", one)
	}
	check(t, sys.TuneMount("auth/k8s", vault.MountConfigInput{MaxLeaseTTL: "4h", TokenType: "default-batch"}))
	for _, path := range []string{"sys/mounts/auth/k8s/tune", "sys/auth/k8s/tune"} {
		d := data(t, send(v, "GET", path, ""))
		if d["default_lease_ttl"] != 3600.0 || d["max_lease_ttl"] != 4*3600.0 || d["token_type"] != "default-batch" {
			t.Errorf("%s: %v", path, d)
		}
	}
	wantStatus(t, send(v, "POST", "sys/auth/k8s/tune", `{"token_type":"service"}`), 204)
	wantStatus(t, send(v, "POST", "sys/auth/k8s/tune", `{"token_type":"odd"}`), 400)
	wantStatus(t, send(v, "POST", "sys/auth/token/tune", `{"token_type":"batch"}`), 400)
	wantFailure(t, sys.EnableAuthWithOptions("k8s", &vault.EnableAuthOptions{Type: "kubernetes"}), 400, "path is already in use at k8s/")
	wantFailure(t, sys.EnableAuthWithOptions("x", &vault.EnableAuthOptions{Type: "ldap"}), 400, "userpass")
	wantFailure(t, sys.EnableAuthWithOptions("x", &vault.EnableAuthOptions{Type: "token"}), 400, "token")
	wantErrors(t, send(v, "GET", "sys/auth/none", ""), 400, "No auth engine at auth/none/")
	wantFailure(t, sys.DisableAuth("token"), 400, "part of the system")

	// sys/auth needs sudo; sys/mounts must not be a way around it.
	token := v.Policy("mounts", `path "sys/mounts/*" { capabilities = ["create", "read", "update", "delete"] }
		path "sys/auth/*" { capabilities = ["create", "read", "update", "delete"] }`)
	wantErrors(t, send(v, "DELETE", "sys/auth/k8s", "", "X-Vault-Token", token), 403, textDenied)
	wantErrors(t, send(v, "POST", "sys/auth/k9s", `{"type":"kubernetes"}`, "X-Vault-Token", token), 403, textDenied)
	wantErrors(t, send(v, "DELETE", "sys/mounts/auth/k8s", "", "X-Vault-Token", token), 400, `cannot unmount "auth/k8s/": disable an auth method at sys/auth`)
	check(t, sys.DisableAuth("k8s"))
	check(t, sys.DisableAuth("k8s"))
	wantKeys(t, "sys/auth", must[map[string]*vault.AuthMount](t)(sys.ListAuth()), "token/")
}

// §2.5: a move answers with a migration_id that the client then polls.
func TestRemount(t *testing.T) {
	v := start(t)
	check(t, v.KVv1("kv").Put(t.Context(), "a", map[string]any{"x": "1"}))
	check(t, v.Sys().Remount("kv", "moved/kv"))
	s := must[*vault.KVSecret](t)(v.KVv1("moved/kv").Get(t.Context(), "a"))
	if s.Data["x"] != "1" {
		t.Errorf("after the move: %v", s.Data)
	}
	wantErrors(t, send(v, "GET", "kv/a", ""), 404, `no handler for route "kv/a". route entry not found.`)
	out := must[*vault.MountMigrationOutput](t)(v.Sys().StartRemount("moved/kv", "kv"))
	status := must[*vault.MountMigrationStatusOutput](t)(v.Sys().RemountStatus(out.MigrationID))
	if status.MigrationInfo.MigrationStatus != "success" || status.MigrationInfo.TargetMount != "kv/" {
		t.Errorf("status: %+v", status)
	}
	if _, err := v.Sys().RemountStatus("00000000-0000-0000-0000-000000000000"); err == nil {
		t.Error("a move that never was has a status")
	}
	for _, c := range [][3]string{
		{"none", "x", "no mount at"}, {"kv", "secret", "already in use"}, {"kv", "secret/below", "already in use"}, {"sys", "x", "part of the system"},
		{"kv", "auth/kv", "outside"}, {"kv", "a/../b", "segment"}, {"", "x", "from"}, {"kv", "", "to"},
	} {
		_, err := v.Sys().StartRemount(c[0], c[1])
		wantFailure(t, err, 400, c[2])
	}
}

// §1.1 row 22: the preflight of the kv command.
func TestPreflight(t *testing.T) {
	v := start(t)
	token := v.Policy("app", `path "secret/data/app/*" { capabilities = ["read"] }`)
	const path = "sys/internal/ui/mounts/"
	for _, p := range []string{"secret", "secret/", "secret/app/config", "secret/data/app", "secret/x/"} {
		d := data(t, send(v, "GET", path+p, "", "X-Vault-Token", token))
		options, _ := d["options"].(map[string]any)
		if d["path"] != "secret/" || d["type"] != "kv" || options["version"] != "2" {
			t.Errorf("%s: %v", p, d)
		}
	}
	for p, shown := range map[string]string{"kv": "kv/", "kv/a": "kv/a/", "kv/a/": "kv/a/", "none/x": "none/x/", "auth/kubernetes": "auth/kubernetes/"} {
		wantErrors(t, send(v, "GET", path+p, "", "X-Vault-Token", token), 403,
			`preflight capability check returned 403, please ensure client's policies grant access to path "`+shown+`"`)
	}
	wantErrors(t, send(v, "GET", path+"secret/a", "", "X-Vault-Token", ""), 403, textBadToken)
	// Without a token only what is meant to be seen before login.
	wantKeys(t, "secret", data(t, send(v, "GET", "sys/internal/ui/mounts", "", "X-Vault-Token", ""))["secret"].(map[string]any))
	// With one, what it may use; one that is not valid is as none.
	listed := func(token string) map[string]any {
		return data(t, send(v, "GET", "sys/internal/ui/mounts", "", "X-Vault-Token", token))
	}
	wantKeys(t, "secret", listed(token)["secret"].(map[string]any), "cubbyhole/", "secret/", "sys/")
	wantKeys(t, "auth", listed(token)["auth"].(map[string]any), "token/")
	wantKeys(t, "secret", listed("hvs.wrong")["secret"].(map[string]any))
	wantKeys(t, "auth", listed("hvs.wrong")["auth"].(map[string]any))
	if all := listed(v.Root)["secret"].(map[string]any); all["kv/"] == nil || all["kv/"].(map[string]any)["accessor"] == "" {
		t.Errorf("root is shown %v", all)
	}
	used := must[*vault.Secret](t)(v.Logical().Write("auth/token/create", map[string]any{"policies": []string{"app"}, "num_uses": 1})).Auth.ClientToken
	for range 3 { // looking is no use of a token
		wantKeys(t, "secret", listed(used)["secret"].(map[string]any), "cubbyhole/", "secret/", "sys/")
	}
	check(t, v.Sys().TuneMount("kv", vault.MountConfigInput{ListingVisibility: "unauth"}))
	wantKeys(t, "secret", data(t, send(v, "GET", "sys/internal/ui/mounts", "", "X-Vault-Token", ""))["secret"].(map[string]any), "kv/")
}

// §2.1 "injectDataIntoTopRoutes": these repeat their data beside the envelope,
// and never in place of a part of it.
func TestTopLevelRepetition(t *testing.T) {
	v := start(t)
	for _, c := range [][3]string{
		{"GET", "sys/mounts", ""}, {"GET", "sys/auth", ""}, {"GET", "sys/audit", ""}, {"GET", "sys/policy", ""}, {"GET", "sys/policy/default", ""},
		{"POST", "sys/capabilities-self", `{"paths":["a","b"]}`}, {"GET", "sys/key-status", ""}, {"GET", "sys/ha-status", ""},
		{"POST", "sys/audit-hash/file", `{"input":"x"}`}, {"GET", "sys/mounts/kv/tune", ""}, {"POST", "sys/remount", `{"from":"kv","to":"kw"}`},
	} {
		a := send(v, c[0], c[1], c[2])
		body := object(t, a)
		for name, value := range data(t, a) {
			if !equal(body[name], value) {
				t.Errorf("%s: %q is not repeated beside data", c[1], name)
			}
		}
	}
	a := send(v, "POST", "sys/capabilities-self", `{"paths":["data","auth","request_id","warnings","x"]}`)
	wantKeys(t, "the answer", object(t, a), "request_id", "lease_id", "renewable", "lease_duration", "data", "wrap_info", "warnings", "auth", "x")
	wantKeys(t, "data", data(t, a), "data", "auth", "request_id", "warnings", "x")
	for _, path := range []string{"sys/policies/acl/default", "sys/policies/acl?list=true", "auth/token/lookup-self", "sys/internal/ui/mounts"} {
		wantKeys(t, path, object(t, send(v, "GET", path, "")), "request_id", "lease_id", "renewable", "lease_duration", "data", "wrap_info", "warnings", "auth")
	}
}
