package server_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

// FuzzRequest sends what no client would. Whatever it is, the answer is well
// formed, never a fault of the server's, and quotes no token.
func FuzzRequest(f *testing.F) {
	for _, s := range [][5]string{
		{"GET", "sys/health", "activecode=299", "", ""},
		{"PUT", "sys/unseal", "", "application/json", `{"key":"00","reset":true}`},
		{"PUT", "sys/init", "", "", `{"secret_shares":5}`},
		{"GET", "sys/mounts", "", "", ""},
		{"POST", "sys/mounts/x", "", "application/json", `{"type":"kv","options":{"version":"2"},"config":{"default_lease_ttl":"1h"}}`},
		{"POST", "sys/mounts/kv/tune", "", "", `{"max_lease_ttl":1e9,"options":null}`},
		{"POST", "sys/auth/k", "", "", `{"type":"kubernetes"}`},
		{"POST", "sys/remount", "", "", `{"from":"kv","to":"kv"}`},
		{"PUT", "sys/policies/acl/p", "", "", `{"policy":"path \"a\" { capabilities = [\"read\"] }"}`},
		{"POST", "sys/capabilities-self", "", "", `{"paths":["data","a/../b"]}`},
		{"PUT", "sys/audit/x", "", "", `{"type":"file","options":{"file_path":"../x"}}`},
		{"GET", "sys/internal/ui/mounts/kv/a/", "", "", ""},
		{"GET", "sys/events/subscribe/kv-v2/*", "json=true", "", ""},
		{"GET", "sys/metrics", "", "", ""},
		{"POST", "auth/token/create", "", "", `{"ttl":"1h","policies":["p"],"meta":{"a":"b"}}`},
		{"POST", "auth/token/create", "", "", `{"period":-1,"num_uses":1e99}`},
		{"POST", "auth/token/roles/r", "", "", `{"allowed_policies":"a"}`},
		{"POST", "auth/kubernetes/login", "", "", `{"role":"r","jwt":"a.b.c"}`},
		{"PUT", "secret/data/a", "", "", `{"data":{"x":[1,{"y":null}]},"options":{"cas":0}}`},
		{"PATCH", "secret/data/a", "", "application/merge-patch+json", `{"data":{"x":null}}`},
		{"GET", "secret/data/a", "version=1", "", ""},
		{"GET", "secret/subkeys/a", "depth=1", "", ""},
		{"PUT", "secret/metadata/a", "", "", `{"custom_metadata":{"k":"v"},"delete_version_after":"1h"}`},
		{"PUT", "secret/destroy/a", "", "", `{"versions":"1,2,x"}`},
		{"LIST", "secret/metadata/", "after=a&limit=1", "", ""},
		{"PUT", "kv/a", "", "application/x-www-form-urlencoded", "a=b&a=c"},
		{"PUT", "cubbyhole/a", "", "", `{"a":"b"}`},
		{"GET", "kv/../a\x00", "list=maybe&help=1", "", ""},
		{"GET", "kv/%2e%2e\xff", "%zz", "", ""},
		{"FROB", "", "", "", "null"},
		{"PUT", "kv/a", "", "", strings.Repeat(`{"a":`, 300)},
	} {
		f.Add(s[0], s[1], s[2], s[3], []byte(s[4]))
	}
	v, token := fuzzVault(f)
	handler := v.Server.Handler()
	f.Fuzz(func(t *testing.T, method, path, query, media string, body []byte) {
		r := &http.Request{
			Method: method, URL: &url.URL{Path: "/v1/" + path, RawQuery: query}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
			Header: http.Header{"X-Vault-Token": {token}, "Content-Type": {media}}, Body: http.NoBody, RemoteAddr: "192.0.2.1:1",
			ContentLength: int64(len(body)),
		}
		if len(body) > 0 {
			r.Body = readCloser{strings.NewReader(string(body))}
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r.WithContext(context.Background()))
		answer := w.Body.Bytes()
		switch {
		case w.Code == http.StatusInternalServerError:
			t.Errorf("%q %q?%q %q: a fault of the server's: %s\n%s", method, path, query, body, answer, lastLines(v.Log.String()))
		case w.Code == http.StatusNoContent:
			if len(answer) != 0 {
				t.Errorf("a 204 with a body: %s", answer)
			}
		case strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") && path == "sys/metrics":
		case !json.Valid(answer):
			t.Errorf("%q %q?%q %q: status %d with no JSON: %q", method, path, query, body, w.Code, answer)
		}
		if w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%q %q: Cache-Control %q", method, path, w.Header().Get("Cache-Control"))
		}
		if strings.Contains(string(answer), v.Root) {
			t.Error("the answer holds the root token")
		}
	})
}

type readCloser struct{ *strings.Reader }

func (readCloser) Close() error { return nil }

// fuzzVault is a vault in memory, and a token that may do nearly everything:
// not end the fuzzing by sealing, or by turning off what audits it.
func fuzzVault(f *testing.F) (*testenv.Vault, string) {
	v := testenv.Start(f, func(c *app.ServerConfig) { c.Storage = "mem" })
	mount(f, v, "secret", "kv-v2")
	mount(f, v, "kv", "kv-v1")
	check(f, v.Sys().EnableAuthWithOptions("kubernetes", &vault.EnableAuthOptions{Type: "kubernetes"}))
	return v, v.Policy("fuzz", `
		path "*" { capabilities = ["create", "read", "update", "patch", "delete", "list", "sudo"] }
		path "sys/seal" { capabilities = ["deny"] }
		path "sys/rotate" { capabilities = ["deny"] }
		path "sys/policies/acl/fuzz" { capabilities = ["deny"] }
		path "sys/policy/fuzz" { capabilities = ["deny"] }
		path "auth/token/revoke*" { capabilities = ["deny"] }
		path "auth/+/config" { capabilities = ["deny"] }`)
}

func lastLines(log string) string { return log[max(0, len(log)-4000):] }
