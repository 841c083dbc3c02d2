package sys_test

import (
	"bufio"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/vault/audit/chain"
	"github.com/strongkeep/strongkeep/internal/vault/audit/verify"
)

// log is the audit file's content.
func log(t testing.TB, v *testenv.Vault) string {
	t.Helper()
	raw, err := os.ReadFile(v.AuditFile())
	check(t, err)
	return string(raw)
}

// A device that hangs or is gone holds up nobody if it is best effort (facts §5.5).
func TestSocketDevice(t *testing.T) {
	v := testenv.Start(t, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	lines := make(chan string, 100)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				for s := bufio.NewScanner(c); s.Scan(); {
					lines <- s.Text()
				}
			}()
		}
	}()
	options := &vault.EnableAuditOptions{Type: "socket", Options: map[string]string{"address": l.Addr().String(), "socket_type": "tcp", "required": "false", "prefix": "vault: "}}
	check(t, v.Sys().EnableAuditWithOptions("remote", options))
	_, err = v.Logical().Read("sys/policies/acl/default")
	check(t, err)
	for deadline := time.After(time.Minute); ; {
		select {
		case line := <-lines:
			if !strings.HasPrefix(line, "vault: {") {
				t.Fatalf("line %q", line)
			}
			if !strings.Contains(line, `"path":"sys/policies/acl/default"`) {
				continue
			}
		case <-deadline:
			t.Fatal("the line never came")
		}
		break
	}
	check(t, l.Close())
	_, err = v.Logical().Read("sys/policies/acl/default")
	check(t, err)
	devices, err := v.Sys().ListAudit()
	check(t, err)
	if d := devices["remote/"]; d == nil || d.Type != "socket" || d.Options["required"] != "false" {
		t.Errorf("listed as %+v", d)
	}
	want(t, send(v, "GET", "sys/audit/remote/checkpoint", ""), 400, "not chained")
	check(t, v.Sys().DisableAudit("remote"))
	want(t, send(v, "PUT", "sys/audit/udp", `{"type":"socket","options":{"address":"127.0.0.1:9","socket_type":"udp"}}`), 400, "UDP loses lines")
	want(t, send(v, "PUT", "sys/audit/gone", `{"type":"socket","options":{"address":"`+l.Addr().String()+`"}}`), 503, "connection refused")
	want(t, send(v, "PUT", "sys/audit/x", `{"type":"file","options":{"file_path":"x.log","format":"jsonx"}}`), 400, "format must be json")
}

func TestCheckpointOverTheWire(t *testing.T) {
	v := testenv.Start(t, nil)
	want(t, send(v, "GET", "sys/mounts", ""), 200, "") // the first line brings the first checkpoint
	d := data(t, send(v, "GET", "sys/audit/file/checkpoint", ""))
	key, note := d["key"].(string), d["note"].(string)
	c, err := chain.ParseNote([]byte(note), chain.Keys{key})
	check(t, err)
	if float64(c.Size) != d["size"] {
		t.Errorf("size %v, signed %d", d["size"], c.Size)
	}
	listed := data(t, send(v, "GET", "sys/audit", ""))["file/"].(map[string]any)
	if listed["checkpoint_key"] != key {
		t.Errorf("listed with %v, not %s", listed["checkpoint_key"], key)
	}
	want(t, send(v, "GET", "sys/audit/none/checkpoint", ""), 404, "")
	for range 20 {
		want(t, send(v, "GET", "sys/mounts", ""), 200, "")
	}
	v.Restart()
	v.Unseal()
	r, err := verify.Files(verify.Config{Keys: chain.Keys{key}, Elsewhere: []string{note}}, v.AuditFile())
	check(t, err)
	if !r.OK() || r.Lines < 40 || len(r.Unchecked) > 0 {
		t.Errorf("%+v", r)
	}
}

// Headers stand in lines only when they are asked for, and credentials only hashed.
func TestAuditedHeaders(t *testing.T) {
	v := testenv.Start(t, nil)
	const path = "sys/config/auditing/request-headers"
	ask := func() {
		want(t, send(v, "GET", "sys/mounts", "", "X-Team", "payments-team", "X-Secret-Thing", "header-canary"), 200, "")
	}
	ask()
	if strings.Contains(log(t, v), "payments-team") {
		t.Error("a header is audited that nobody asked for")
	}
	want(t, send(v, "PUT", path+"/X-Team", `{"hmac":false}`), 204, "")
	want(t, send(v, "POST", path+"/x-secret-thing", `{"hmac":true}`), 204, "")
	ask()
	text := log(t, v)
	if !strings.Contains(text, `"headers":{"x-secret-thing":["hmac-sha256:`) || !strings.Contains(text, `"x-team":["payments-team"]`) {
		t.Error("the headers are missing in the log")
	}
	hash, err := v.Sys().AuditHash("file", "header-canary")
	check(t, err)
	if !strings.Contains(text, hash) || strings.Contains(text, "header-canary") {
		t.Error("the header's value is not hashed as other values are")
	}
	if d := data(t, send(v, "GET", path, "")); d["headers"].(map[string]any)["x-team"].(map[string]any)["hmac"] != false {
		t.Errorf("listed as %v", d)
	}
	if d := data(t, send(v, "GET", path+"/X-Secret-Thing", "")); d["x-secret-thing"].(map[string]any)["hmac"] != true {
		t.Errorf("read as %v", d)
	}
	v.Restart()
	v.Unseal()
	ask()
	if n := strings.Count(log(t, v), "payments-team"); n != 4 {
		t.Errorf("after a restart: %d lines with the header, want 4", n)
	}
	want(t, send(v, "DELETE", path+"/X-Team", ""), 204, "")
	ask()
	if n := strings.Count(log(t, v), "payments-team"); n != 4 {
		t.Errorf("after it was removed: %d lines with the header", n)
	}
	want(t, send(v, "GET", path+"/X-Team", ""), 400, "Could not find header in config")
	for _, name := range []string{"X-Vault-Token", "Authorization", "cookie"} {
		want(t, send(v, "PUT", path+"/"+name, `{"hmac":false}`), 400, "holds a credential")
	}
	want(t, send(v, "PUT", path+"/X-Vault-Token", `{"hmac":true}`), 204, "")
	ask()
	if strings.Contains(log(t, v), v.Root) {
		t.Error("the token stands in the log")
	}
	want(t, send(v, "PUT", path+"/bad%20name", `{}`), 400, "letters, digits")
	weak := v.Policy("headers", `path "sys/config/auditing/*" { capabilities = ["read", "update"] }`)
	want(t, send(v, "GET", path, "", "X-Vault-Token", weak), 403, "")
}

// A device whose options no longer fit keeps the vault sealed, says how to get
// out, and can be got rid of (docs/audit.md).
func TestADeviceThatNoLongerFits(t *testing.T) {
	v := testenv.Start(t, nil)
	dir := filepath.Dir(v.AuditFile())
	check(t, v.Sys().EnableAuditWithOptions("second", &vault.EnableAuditOptions{Type: "file", Options: map[string]string{"file_path": filepath.Join(dir, "second.log")}}))
	check(t, v.Sys().EnableAuditWithOptions("third", &vault.EnableAuditOptions{Type: "file", Options: map[string]string{"file_path": filepath.Join(dir, "third.log"), "required": "false"}}))
	v.Config.AuditDir = t.TempDir() // the operator moves the directory
	v.Restart()
	var err error
	for _, share := range v.Shares[:testenv.Threshold] {
		_, err = v.Server.Gate().Unseal(context.Background(), redact.FromString(share))
	}
	if err == nil || !strings.Contains(err.Error(), "-skip-audit-devices=second") || !strings.Contains(err.Error(), "must be a file below") || v.Server.Gate().Open() {
		t.Fatalf("unsealing: %v", err)
	}
	v.Config.SkipAuditDevices = []string{"second"}
	v.Restart()
	v.Unseal()
	if text := v.Log.String(); !strings.Contains(text, "requests are NOT written to it") || !strings.Contains(text, "best-effort audit device cannot be enabled") {
		t.Errorf("the server's log says nothing of it:\n%s", text)
	}
	devices, err := v.Sys().ListAudit()
	check(t, err)
	if len(devices) != 3 {
		t.Errorf("listed: %v", devices)
	}
	check(t, v.Sys().DisableAudit("second"))
	check(t, v.Sys().DisableAudit("third"))
	// Its name can be used again at once.
	check(t, v.Sys().EnableAuditWithOptions("second", &vault.EnableAuditOptions{Type: "file", Options: map[string]string{"file_path": "again.log"}}))
	want(t, send(v, "GET", "sys/mounts", ""), 200, "")
	raw, err := os.ReadFile(filepath.Join(v.Config.AuditDir, "again.log"))
	check(t, err)
	if !strings.Contains(string(raw), `"path":"sys/mounts"`) {
		t.Error("the new device got no line")
	}
	v.Config.SkipAuditDevices = nil
	v.Restart()
	v.Unseal()
}

// Vault's audit log could be made a program: by its path, its mode, a prefix
// with a line of shell, or a file that was executable before.
func TestCVE20256000(t *testing.T) {
	v := testenv.Start(t, nil)
	dir := filepath.Dir(v.AuditFile())
	check(t, os.WriteFile(filepath.Join(dir, "plugin"), nil, 0o755))
	check(t, os.Chmod(filepath.Join(dir, "plugin"), 0o755))
	outside := t.TempDir()
	check(t, os.Symlink(outside, filepath.Join(dir, "link")))
	for name, options := range map[string]string{
		"outside":   `"file_path":"` + outside + `/plugin"`,
		"escape":    `"file_path":"../plugin"`,
		"link":      `"file_path":"link/plugin"`,
		"mode":      `"file_path":"x.log","mode":"0755"`,
		"kept mode": `"file_path":"plugin","mode":"0000"`,
		"shell":     `"file_path":"x.log","prefix":"#!/bin/sh\nid\n#"`,
		"carriage":  `"file_path":"x.log","prefix":"a\rb"`,
		"side file": `"file_path":"audit.log.tree"`,
		"elsewhere": `"file_path":"/dev/stderr"`,
	} {
		a := send(v, "PUT", "sys/audit/evil", `{"type":"file","options":{`+options+`}}`)
		if a.Status != 400 {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	if entries, _ := os.ReadDir(outside); len(entries) != 0 {
		t.Errorf("files were made outside: %v", entries)
	}
	if _, err := os.Stat(filepath.Join(dir, "x.log")); err == nil {
		t.Error("a refused device made its file")
	}
	info, err := os.Stat(v.AuditFile() + ".tree")
	check(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the side file has mode %v", info.Mode())
	}
}

// What a request is refused for must not carry the secret it was sent with
// into the answer or the log.
func TestCVE20254166AndCVE202552893(t *testing.T) {
	v := testenv.Start(t, nil)
	want(t, send(v, "PUT", "sys/mounts/secret", `{"type":"kv","options":{"version":"2"}}`), 204, "")
	const canary = "hunter2-canary"
	for _, c := range []struct{ method, path, body string }{
		{"PUT", "secret/data/a", `{"data":"` + canary + `"}`},
		{"PUT", "secret/data/a", `{"data":{"x":1},"options":{"cas":"` + canary + `"}}`},
		{"PUT", "secret/data/a", `{"data":{"` + `x":"` + canary + `"`},
		{"PUT", "secret/data/a", canary},
		{"PUT", "secret/data/a", `"` + canary + `"`},
		{"PUT", "secret/metadata/a", `{"max_versions":"` + canary + `"}`},
		{"PUT", "secret/metadata/a", `{"delete_version_after":"` + canary + `"}`},
		{"PUT", "sys/audit-hash/file", `{"input":{"x":"` + canary + `"}}`},
		{"PUT", "sys/audit-hash/none", `{"input":"` + canary + `"}`},
		{"PUT", "sys/mounts/x", `{"type":"kv","config":{"default_lease_ttl":"` + canary + `"}}`},
		{"PUT", "auth/token/create", `{"ttl":"` + canary + `"}`},
		{"PUT", "auth/token/lookup", `{"token":"` + canary + `"}`},
		{"PUT", "auth/token/revoke", `{"token":["` + canary + `"]}`},
		{"PUT", "sys/config/auditing/request-headers/x", `{"hmac":"` + canary + `"}`},
		{"PUT", "sys/wrapping/unwrap", `{"token":"` + canary + `"}`},
	} {
		a := send(v, c.method, c.path, c.body)
		if a.Status < 400 {
			t.Errorf("%s with %s is accepted: %d", c.path, c.body, a.Status)
		}
		if strings.Contains(a.Body, canary) {
			t.Errorf("%s: the answer repeats the secret: %s", c.path, a.Body)
		}
	}
	for name, text := range map[string]string{"audit log": log(t, v), "server's log": v.Log.String()} {
		if strings.Contains(text, canary) {
			i := strings.Index(text, canary)
			t.Errorf("the %s holds the secret: …%s", name, text[max(0, i-300):i+20])
		}
	}
}

// Rotation, with SIGHUP and without, leaves one log (hashicorp/vault#31718).
func TestReloadKeepsTheChain(t *testing.T) {
	v := testenv.Start(t, nil)
	want(t, send(v, "GET", "sys/mounts", ""), 200, "")
	check(t, os.Rename(v.AuditFile(), v.AuditFile()+".1"))
	v.Server.Reload() // SIGHUP
	want(t, send(v, "GET", "sys/mounts", ""), 200, "")
	check(t, os.Rename(v.AuditFile(), v.AuditFile()+".2")) // and without
	want(t, send(v, "GET", "sys/mounts", ""), 200, "")
	if !strings.Contains(v.Log.String(), "audit file was moved, deleted or replaced") {
		t.Error("the server's log does not tell that the file went")
	}
	r, err := verify.Files(verify.Config{}, v.AuditFile()+".1", v.AuditFile()+".2", v.AuditFile())
	check(t, err)
	if !r.OK() || r.From != 0 {
		t.Errorf("%+v", r)
	}
}
