package sys_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/buffer"
)

// sys/config/cors and what browsers are told: it survives a restart, and no cookie
// is ever allowed.
func TestCORS(t *testing.T) {
	v := testenv.Start(t, nil)
	const ui = "https://ui.example.com"
	ask := func(method, origin string) testenv.Answer {
		return send(v, method, "sys/mounts", "", "Origin", origin, "Access-Control-Request-Method", "LIST")
	}
	allowed := func(a testenv.Answer) string { return a.Header.Get("Access-Control-Allow-Origin") }
	want(t, send(v, "GET", "sys/config/cors", ""), 200, `"enabled":false`)
	if a := ask("GET", ui); a.Status != 200 || allowed(a) != "" || a.Header.Get("Vary") != "" {
		t.Errorf("while it is off: %d %v", a.Status, a.Header)
	}
	for body, text := range map[string]string{
		`{}`: "missing allowed_origins", `{"allowed_origins":["*","https://a"]}`: "must be the only value",
		`{"allowed_origins":"https://a/"}`: "no origin", `{"allowed_origins":"ui.example.com"}`: "no origin",
		`{"allowed_origins":"https://A"}`: "small letters", `{"allowed_origins":"https://a","allowed_headers":["X: y"]}`: "no name of a header",
	} {
		want(t, send(v, "PUT", "sys/config/cors", body), 400, text)
	}
	want(t, send(v, "POST", "sys/config/cors", `{"allowed_origins":"`+ui+`","allowed_headers":"X-Team"}`), 204, "")
	v.Restart()
	v.Unseal()
	want(t, send(v, "GET", "sys/config/cors", ""), 200, `"allowed_headers":["X-Team"],"allowed_origins":["`+ui+`"]`)
	preflight := ask("OPTIONS", ui)
	if preflight.Status != 204 || allowed(preflight) != ui || !strings.Contains(preflight.Header.Get("Access-Control-Allow-Headers"), "X-Vault-Token") ||
		!strings.Contains(preflight.Header.Get("Access-Control-Allow-Methods"), "LIST") || preflight.Header.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("preflight: %d %v", preflight.Status, preflight.Header)
	}
	if a := ask("GET", ui); a.Status != 200 || allowed(a) != ui {
		t.Errorf("%d %v", a.Status, a.Header)
	}
	want(t, ask("GET", "https://evil.example.com"), 403, "origin not allowed")
	want(t, send(v, "GET", "sys/mounts", ""), 200, "")
	want(t, send(v, "GET", "sys/config/cors", "", "X-Vault-Token", v.Policy("p", `path "sys/config/cors" { capabilities = ["read"] }`)), 403, "")
	want(t, send(v, "DELETE", "sys/config/cors", ""), 204, "")
	want(t, ask("GET", "https://evil.example.com"), 200, "")
}

// sys/loggers by raw HTTP: the level holds at once, and until it is reset.
func TestLoggers(t *testing.T) {
	var log buffer.Buffer
	v := testenv.Start(t, func(c *app.ServerConfig) {
		c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	// Sealing tells at level info.
	sealed := func() int {
		before := strings.Count(log.String(), "vault is sealed")
		check(t, v.Sys().Seal())
		v.Unseal()
		return strings.Count(log.String(), "vault is sealed") - before
	}
	want(t, send(v, "GET", "sys/loggers", ""), 200, `"server":"info"`)
	want(t, send(v, "PUT", "sys/loggers/server", `{"level":"error"}`), 204, "")
	if sealed() != 0 {
		t.Error("info is written at level error")
	}
	want(t, send(v, "GET", "sys/loggers/server", ""), 200, `"server":"error"`)
	want(t, send(v, "DELETE", "sys/loggers", ""), 204, "")
	want(t, send(v, "GET", "sys/loggers", ""), 200, `"server":"info"`)
	if sealed() != 1 {
		t.Error("info is not written at level info")
	}
	want(t, send(v, "PUT", "sys/loggers", `{"level":"loud"}`), 400, "debug, info, warn or error")
	want(t, send(v, "PUT", "sys/loggers/x", `{"level":"info"}`), 404, "there is one")
	want(t, send(v, "PUT", "sys/loggers", `{"level":"debug"}`, "X-Vault-Token", v.Policy("p", `path "sys/loggers" { capabilities = ["update"] }`)), 403, "")
}

// sys/host-info, sys/config/state/sanitized: true, and not for everybody.
func TestHostAndConfiguration(t *testing.T) {
	v := testenv.Start(t, func(c *app.ServerConfig) { c.MaxLeaseTTL = "99h" })
	d := data(t, send(v, "GET", "sys/host-info", ""))
	memory, disks := d["memory"].(map[string]any), d["disk"].([]any)
	if total, free := memory["total"].(float64), memory["free"].(float64); total <= free || free <= 0 {
		t.Errorf("memory %v", memory)
	}
	if len(disks) != 1 || disks[0].(map[string]any)["path"] != v.Config.DataDir || len(d["cpu"].([]any)) == 0 || d["host"].(map[string]any)["hostname"] == "" {
		t.Errorf("%v", d)
	}
	c := data(t, send(v, "GET", "sys/config/state/sanitized", ""))
	if c["max_lease_ttl"] != "99h" || c["data_dir"] != v.Config.DataDir {
		t.Errorf("%v", c)
	}
	token := v.Policy("p", `path "sys/*" { capabilities = ["read", "list"] }`)
	for _, path := range []string{"sys/host-info", "sys/config/state/sanitized"} {
		want(t, send(v, "GET", path, "", "X-Vault-Token", token), 403, "")
	}
}

// sys/version-history: one entry for a version, however often it opens the vault.
func TestVersionHistory(t *testing.T) {
	v := testenv.Start(t, nil)
	first := send(v, "LIST", "sys/version-history", "")
	v.Restart()
	v.Unseal()
	var h struct {
		Keys []string
		Info map[string]struct {
			Installed time.Time `json:"timestamp_installed"`
			Previous  *string   `json:"previous_version"`
		} `json:"key_info"`
	}
	raw, err := json.Marshal(data(t, first))
	check(t, err)
	check(t, json.Unmarshal(raw, &h))
	if len(h.Keys) != 1 || h.Keys[0] != app.Version || h.Info[app.Version].Previous != nil || time.Since(h.Info[app.Version].Installed).Abs() > time.Hour {
		t.Errorf("%s", first.Body)
	}
	if again := send(v, "LIST", "sys/version-history", ""); text(t, data(t, again)) != string(raw) {
		t.Errorf("after a restart: %s", again.Body)
	}
}

// What a group grants is part of what web interfaces and OpenAPI show its members.
func TestSubjectsHaveTheirIdentity(t *testing.T) {
	v := testenv.Start(t, nil)
	check(t, v.Sys().PutPolicy("team", `path "secret/team/*" { capabilities = ["read"] } path "child/secret/*" { capabilities = ["read"] }
		path "secret/*" { capabilities = ["read"] }`))
	want(t, send(v, "POST", "sys/namespaces/child", "{}"), 200, "")
	want(t, send(v, "POST", "sys/mounts/secret", `{"type":"kv"}`), 204, "")
	want(t, send(v, "POST", "sys/auth/userpass", `{"type":"userpass"}`), 204, "")
	want(t, send(v, "POST", "auth/userpass/users/ann", `{"password":"correct horse battery staple"}`), 204, "")
	login := send(v, "POST", "auth/userpass/login/ann", `{"password":"correct horse battery staple"}`)
	want(t, login, 200, "")
	var in struct {
		Auth struct {
			Token  string `json:"client_token"`
			Entity string `json:"entity_id"`
		}
	}
	check(t, json.Unmarshal([]byte(login.Body), &in))
	want(t, send(v, "POST", "identity/group", `{"name":"g","policies":["team"],"member_entity_ids":["`+in.Auth.Entity+`"]}`), 200, "")
	as := []string{"X-Vault-Token", in.Auth.Token}
	want(t, send(v, "GET", "sys/internal/ui/resultant-acl", "", as...), 200, `"secret/team/"`)
	want(t, send(v, "GET", "sys/internal/ui/namespaces", "", as...), 200, `"child/"`)
	want(t, send(v, "GET", "sys/internal/specs/openapi", "", as...), 200, `"/secret/{path}"`)
}
