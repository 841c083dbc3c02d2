package testenv_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

// The whole way of a request from the HTTP handler down to the disk and back,
// in the usual setup: Pebble, audit to a file. What is left out is net/http
// itself. Look at allocs/op and cpu-ns/op first; ns/op depends on the disk, and on how many
// requests share a sync: -cpu says how many of 32 goroutines each there are.

const benchSecrets = 1000

func BenchmarkKVRead(b *testing.B) {
	h, token := benchVault(b)
	run(b, h, token, func(n int64) (method, path, body string) { return http.MethodGet, benchPath(n), "" })
}

func BenchmarkKVWrite(b *testing.B) {
	h, token := benchVault(b)
	run(b, h, token, func(n int64) (method, path, body string) {
		return http.MethodPost, benchPath(n), fmt.Sprintf(`{"data":{"username":"app","password":"%012d-mN3xR8vQ2pL5kT7w","endpoint":"db.example.com:5432"}}`, n)
	})
}

func BenchmarkLookupSelf(b *testing.B) {
	v := startBench(b)
	run(b, v.Server.Handler(), v.Policy("bench", `path "none" { capabilities = ["deny"] }`), func(int64) (method, path, body string) {
		return http.MethodGet, "/v1/auth/token/lookup-self", ""
	})
}

func BenchmarkAppRoleLogin(b *testing.B) {
	v := startBench(b)
	if err := v.Sys().EnableAuthWithOptions("approle", &vault.EnableAuthOptions{Type: "approle"}); err != nil {
		b.Fatal(err)
	}
	if _, err := v.Logical().Write("auth/approle/role/bench", map[string]any{"token_policies": "default", "role_id": "bench"}); err != nil {
		b.Fatal(err)
	}
	made, err := v.Logical().Write("auth/approle/role/bench/secret-id", nil)
	if err != nil {
		b.Fatal(err)
	}
	login := fmt.Sprintf(`{"role_id":"bench","secret_id":%q}`, made.Data["secret_id"])
	run(b, v.Server.Handler(), "", func(int64) (method, path, body string) {
		return http.MethodPost, "/v1/auth/approle/login", login
	})
}

func BenchmarkTransitEncrypt(b *testing.B) {
	v := startBench(b)
	if err := v.Sys().Mount("transit", &vault.MountInput{Type: "transit"}); err != nil {
		b.Fatal(err)
	}
	if _, err := v.Logical().Write("transit/keys/bench", nil); err != nil {
		b.Fatal(err)
	}
	token := v.Policy("bench", `path "transit/encrypt/bench" { capabilities = ["update"] }`)
	body := `{"plaintext":"` + strings.Repeat("QUJD", 20) + `"}`
	run(b, v.Server.Handler(), token, func(int64) (method, path, text string) {
		return http.MethodPost, "/v1/transit/encrypt/bench", body
	})
}

func benchPath(n int64) string { return fmt.Sprintf("/v1/secret/data/bench/%d", n*7919%benchSecrets) }

func startBench(b *testing.B) *testenv.Vault {
	return testenv.Start(b, func(c *app.ServerConfig) { c.Log = slog.New(slog.DiscardHandler) })
}

// benchVault has secrets at secret/bench/0 and so on.
func benchVault(b *testing.B) (h http.Handler, token string) {
	v := startBench(b)
	if err := v.Sys().Mount("secret", &vault.MountInput{Type: "kv", Options: map[string]string{"version": "2"}}); err != nil {
		b.Fatal(err)
	}
	token = v.Policy("bench", `path "secret/data/bench/*" { capabilities = ["create", "read", "update"] }`)
	for i := range benchSecrets {
		_, err := v.KVv2("secret").Put(context.Background(), fmt.Sprintf("bench/%d", i), map[string]any{"username": "app", "password": "1", "endpoint": "db.example.com:5432"})
		if err != nil {
			b.Fatal(err)
		}
	}
	return v.Server.Handler(), token
}

func run(b *testing.B, h http.Handler, token string, request func(n int64) (method, path, body string)) {
	var n atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.ResetTimer()
	used := cpuUsed()
	b.RunParallel(func(pb *testing.PB) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if token != "" {
			r.Header.Set("X-Vault-Token", token)
		}
		w := &sink{header: http.Header{}}
		body := strings.NewReader("")
		closer := io.NopCloser(body)
		for pb.Next() {
			var text string
			r.Method, r.URL.Path, text = request(n.Add(1))
			body.Reset(text)
			r.Body, r.ContentLength = closer, int64(len(text))
			w.status = 0
			h.ServeHTTP(w, r)
			if w.status != http.StatusOK {
				b.Errorf("%s %s: %d", r.Method, r.URL.Path, w.status)
				return
			}
		}
	})
	b.ReportMetric(float64((cpuUsed()-used).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// sink is a response writer that keeps the status only.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
