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
// itself. Look at allocs/op first; ns/op depends on the disk, and on how many
// requests share a sync: -cpu says how many of 32 goroutines each there are.

const benchSecrets = 1000

func BenchmarkKVRead(b *testing.B) {
	h, token := benchVault(b)
	run(b, h, token, func(int64) (method, body string) { return http.MethodGet, "" })
}

func BenchmarkKVWrite(b *testing.B) {
	h, token := benchVault(b)
	run(b, h, token, func(n int64) (method, body string) {
		return http.MethodPost, fmt.Sprintf(`{"data":{"username":"app","password":"%012d-mN3xR8vQ2pL5kT7w","endpoint":"db.example.com:5432"}}`, n)
	})
}

// benchVault has secrets at secret/bench/0 and so on.
func benchVault(b *testing.B) (h http.Handler, token string) {
	v := testenv.Start(b, func(c *app.ServerConfig) { c.Log = slog.New(slog.DiscardHandler) })
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

func run(b *testing.B, h http.Handler, token string, request func(n int64) (method, body string)) {
	var n atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("X-Vault-Token", token)
		w := &sink{header: http.Header{}}
		body := strings.NewReader("")
		closer := io.NopCloser(body)
		for pb.Next() {
			i := n.Add(1)
			var text string
			r.Method, text = request(i)
			body.Reset(text)
			r.Body, r.ContentLength = closer, int64(len(text))
			r.URL.Path = fmt.Sprintf("/v1/secret/data/bench/%d", i*7919%benchSecrets)
			w.status = 0
			h.ServeHTTP(w, r)
			if w.status != http.StatusOK {
				b.Errorf("%s %s: %d", r.Method, r.URL.Path, w.status)
				return
			}
		}
	})
}

// sink is a response writer that keeps the status only.
type sink struct {
	header http.Header
	status int
}

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) WriteHeader(status int)      { s.status = status }
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
