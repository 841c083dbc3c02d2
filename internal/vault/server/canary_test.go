package server_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

// canaries are planted secrets by what they are.
type canaries map[string]string

// found returns which of them are in text, as they are, in hex or in base64.
func (c canaries) found(text []byte) (names []string) {
	for name, secret := range c {
		forms := []string{secret, hex.EncodeToString([]byte(secret)), strings.Trim(base64.StdEncoding.EncodeToString([]byte(secret)), "=")}
		if raw, err := hex.DecodeString(secret); err == nil { // a share
			forms = append(forms, string(raw), base64.StdEncoding.EncodeToString(raw))
		}
		for _, form := range forms {
			if bytes.Contains(text, []byte(form)) {
				names = append(names, name)
				break
			}
		}
	}
	return names
}

// No secret is in a log, an error, a metric, an audit line or the store (§6:
// classes of CVE-2025-4166, -52893, -62513, -62705).
func TestCanaries(t *testing.T) {
	v, c := start(t), newCluster(t)
	kubernetesAuth(t, v, c)
	planted := canaries{"root token": v.Root, "reviewer": reviewerJWT}
	for i, share := range v.Shares {
		planted[fmt.Sprint("share ", i)] = share
	}
	n := 0
	secret := func(name string) string {
		n++
		planted[name] = fmt.Sprintf("canary-%s-%d-Zq7", strings.ReplaceAll(name, " ", "-"), n)
		return planted[name]
	}
	inStore := canaries{"a name": "canary-path-of-a-secret", "a policy": "canary-path-in-a-policy"}
	plant(t, v, c, planted, secret)
	check(t, v.KVv1("kv").Put(t.Context(), inStore["a name"], map[string]any{"x": secret("named value")}))
	check(t, v.Sys().PutPolicy("names", `path "`+inStore["a policy"]+`" {}`))

	for _, answer := range provoke(t, v, secret) {
		for _, name := range planted.found([]byte(answer.Body)) {
			t.Errorf("an error tells %s: %d %s", name, answer.Status, answer.Body)
		}
	}
	if got := planted.found([]byte(send(v, "GET", "kv/a", "").Body)); len(got) != 1 || got[0] != "v1 value" {
		t.Fatalf("in an answer that holds a secret the search found %q", got)
	}
	metrics := send(v, "GET", "sys/metrics", "")
	wantStatus(t, metrics, 200)
	// Restarting flushes and compacts, so that all files of the store have been written.
	searchStore := func(when string) {
		t.Helper()
		check(t, filepath.WalkDir(v.Config.DataDir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := os.ReadFile(path)
			if os.IsNotExist(err) {
				return nil // the store removed it meanwhile
			}
			for _, name := range planted.found(content) {
				t.Errorf("%s: %s holds %s", when, path, name)
			}
			if strings.Contains(path, "/store/") {
				for _, name := range inStore.found(content) {
					t.Errorf("%s: %s holds %s", when, path, name)
				}
			}
			return err
		}))
	}
	searchStore("running")
	v.Restart()
	searchStore("restarted")
	check(t, unsealByWire(v))
	searchStore("unsealed")
	for where, text := range map[string]string{"the log": v.Log.String(), "the metrics": metrics.Body} {
		for _, name := range planted.found([]byte(text)) {
			t.Errorf("%s holds %s", where, name)
		}
	}
	if v.Log.String() == "" {
		t.Error("nothing was logged, so nothing was searched")
	}
	lines := must[[]byte](t)(os.ReadFile(v.AuditFile()))
	if !bytes.Contains(lines, []byte("hmac-sha256:")) || !bytes.Contains(lines, []byte("auth/kubernetes/login")) {
		t.Error("the audit log lacks what was done, so nothing was searched")
	}
}

// plant puts secrets wherever the vault takes them.
func plant(t *testing.T, v *testenv.Vault, c *cluster, planted canaries, secret func(string) string) {
	t.Helper()
	ctx := t.Context()
	must[*vault.KVSecret](t)(v.KVv2("secret").Put(ctx, "app/config", map[string]any{"password": secret("v2 value"), "deep": []any{map[string]any{"x": secret("deep value")}}}))
	must[*vault.KVSecret](t)(v.KVv2("secret").Get(ctx, "app/config"))
	must[*vault.KVSecret](t)(v.KVv2("secret").Patch(ctx, "app/config", map[string]any{"p": secret("patched value")}, vault.WithMergeMethod("patch")))
	check(t, v.KVv1("kv").Put(ctx, "a", map[string]any{"password": secret("v1 value")}))
	_, err := v.Logical().Write("cubbyhole/a", map[string]any{"x": secret("cubbyhole value")})
	check(t, err)
	wantStatus(t, send(v, "PUT", "kv/form", "password="+secret("form value"), "Content-Type", "application/x-www-form-urlencoded"), 204)
	service := create(t, v, vault.TokenCreateRequest{Policies: []string{"default"}})
	planted["service token"] = service.ClientToken
	planted["batch token"] = create(t, v, vault.TokenCreateRequest{Policies: []string{"default"}, Type: "batch", TTL: "1h"}).ClientToken
	planted["chosen token"] = create(t, v, vault.TokenCreateRequest{ID: secret("chosen id"), Policies: []string{"default"}}).ClientToken
	for _, token := range []string{planted["service token"], planted["batch token"]} {
		must[*vault.Secret](t)(v.NewClient(token).Auth().Token().LookupSelf())
		must[*vault.Secret](t)(v.Auth().Token().Lookup(token))
		must[[]string](t)(v.Sys().Capabilities(token, "kv/a"))
	}
	must[*vault.Secret](t)(v.Auth().Token().Renew(service.ClientToken, 60))
	must[string](t)(v.Sys().AuditHash("file", planted["v1 value"]))
	planted["jwt"] = c.issue(t, "prod", "web", time.Hour)
	planted["refused jwt"] = c.issue(t, "prod", "other", time.Hour)
	planted["unknown jwt"] = c.sign(t, "prod", "web", time.Hour)
	for _, name := range []string{"jwt", "refused jwt", "unknown jwt"} {
		a := send(v, "POST", "auth/kubernetes/login", `{"role":"app","jwt":"`+planted[name]+`"}`)
		if name == "jwt" {
			planted["login token"], _ = object(t, a)["auth"].(map[string]any)["client_token"].(string)
		} else if got := planted.found([]byte(a.Body)); a.Status != 403 || got != nil {
			t.Errorf("%s: %d, tells %v", name, a.Status, got)
		}
	}
}

// provoke makes requests fail that carry secrets in places where an error could
// quote them.
func provoke(t *testing.T, v *testenv.Vault, secret func(string) string) (failed []testenv.Answer) {
	t.Helper()
	s := secret("provoked")
	const patch = "application/merge-patch+json"
	for _, c := range [][]string{
		{"PUT", "secret/data/a", `{"data":"` + s + `"}`}, {"PUT", "secret/data/a", `{"data":{"a":"` + s + `"}`}, {"PUT", "secret/data/a", s},
		{"PUT", "secret/data/a", `{"data":{"a":"` + s + `","a":"` + s + `"}}`}, {"PUT", "secret/data/a", `{"data":{},"options":"` + s + `"}`},
		{"PUT", "secret/data/a", `{"data":{},"options":{"cas":"` + s + `"}}`}, {"PUT", "secret/metadata/a", `{"max_versions":"` + s + `"}`},
		{"PUT", "secret/metadata/a", `{"custom_metadata":{"k":["` + s + `"]}}`}, {"PUT", "secret/metadata/a", `{"delete_version_after":"` + s + `"}`},
		{"PUT", "secret/destroy/a", `{"versions":["` + s + `"]}`}, {"PATCH", "secret/data/a", `{"data":"` + s + `"}`, "Content-Type", patch},
		{"PATCH", "secret/data/a", `{"data":{"x":"` + s + `"}}`, "Content-Type", "text/plain"},
		{"PUT", "secret/data/a/", `{"data":{"x":"` + s + `"}}`}, {"PUT", "kv/../a", `{"x":"` + s + `"}`}, {"PUT", "none/a", `{"x":"` + s + `"}`},
		{"PUT", "kv/a", `x=` + s + `&%zz`, "Content-Type", "application/x-www-form-urlencoded"},
		{"GET", "kv/a", "", "X-Vault-Token", s}, {"GET", "kv/a", "", "X-Vault-Token", "", "Authorization", "Bearer " + s},
		{"GET", "kv/a", "", "X-Vault-Token", "hvb." + s}, {"GET", "kv/a", "", "X-Vault-Wrap-TTL", s}, {"GET", "kv/a", "", "X-Vault-Namespace", s},
		{"POST", "auth/token/lookup", `{"token":"` + s + `"}`}, {"POST", "auth/token/renew", `{"token":"` + s + `"}`}, {"POST", "auth/token/revoke-orphan", `{"token":"` + s + `"}`},
		{"POST", "auth/token/create", `{"id":"` + s + `.x"}`}, {"POST", "auth/token/create", `{"ttl":"` + s + `"}`}, {"POST", "auth/token/create", `{"type":"` + s + `"}`},
		{"POST", "sys/capabilities", `{"token":"` + s + `","paths":["a"]}`}, {"POST", "sys/audit-hash/none", `{"input":"` + s + `"}`},
		{"PUT", "sys/unseal", `{"key":"` + s + `"}`}, {"PUT", "sys/init", `{"secret_shares":"` + s + `"}`},
		{"POST", "auth/kubernetes/login", `{"role":"app","jwt":"` + s + `"}`}, {"POST", "auth/kubernetes/login", `{"role":"app","jwt":["` + s + `"]}`},
		{"POST", "auth/kubernetes/config", `{"kubernetes_host":"https://x","token_reviewer_jwt":"a ` + s + `"}`},
		{"POST", "auth/kubernetes/config", `{"kubernetes_host":"https://u:` + s + `@x"}`},
		{"POST", "auth/kubernetes/config", `{"kubernetes_host":"https://x","pem_keys":["` + s + `"]}`},
		{"POST", "sys/mounts/x", `{"type":"kv","config":{"default_lease_ttl":"` + s + `"}}`}, {"POST", "sys/mounts/x", `{"type":"kv","local":"` + s + `"}`},
		{"PUT", "sys/wrapping/unwrap", `{"token":"` + s + `"}`}, {"PUT", "cubbyhole/a", s},
	} {
		a := send(v, c[0], c[1], c[2], c[3:]...)
		if a.Status < 400 && c[0] != "PUT" || a.Status == 500 {
			t.Errorf("%s %s was to fail and answered %d", c[0], c[1], a.Status)
		}
		failed = append(failed, a)
	}
	return failed
}

// unsealByWire gives the shares over HTTP, where they could be logged.
func unsealByWire(v *testenv.Vault) error {
	for _, share := range v.Shares[:testenv.Threshold] {
		if _, err := v.Sys().Unseal(share); err != nil {
			return err
		}
	}
	return nil
}
