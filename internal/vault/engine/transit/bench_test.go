package transit

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// cachedTx is a Tx as the gate makes it over a cached store: a Txn whose reads
// hit entries that carry a Memo.
type cachedTx struct{ *store.Txn }

func (cachedTx) Emit(engine.Event) {}

// cachedStore answers Get from a map, as the cached decorator does on a hit.
type cachedStore struct {
	store.Store
	entries map[string]store.Entry
}

func (c cachedStore) Get(_ context.Context, key string) (store.Entry, error) {
	return c.entries[key], nil
}

// benchmark runs one route with one body again and again.
func (m mount) benchmark(b *testing.B, path, body string) {
	b.Helper()
	c := cachedStore{entries: map[string]store.Entry{}}
	for key, value := range m.Stored(b) {
		c.entries[key] = store.Entry{Key: key, Value: []byte(value), Revision: 7}.WithMemo(new(store.Memo))
	}
	parsed, err := engine.ParseBody([]byte(body))
	if err != nil {
		b.Fatal(err)
	}
	route, params, _ := m.Router.Match(path)
	req := &engine.Request{Operation: update, Path: path, Params: params, Body: parsed, Time: m.Now()}
	handler := route.Handler(update)
	b.ReportAllocs()
	for b.Loop() {
		tx := cachedTx{store.Begin(c)}
		if route.Exists != nil {
			if _, err := route.Exists(b.Context(), tx, req); err != nil {
				b.Fatal(err)
			}
		}
		if res, err := handler(b.Context(), tx, req); err != nil || res.Status != 0 {
			b.Fatal(res, err)
		}
	}
}

func BenchmarkEncrypt(b *testing.B) {
	for _, kind := range []string{"aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305"} {
		for _, size := range []int{64, 4096} {
			b.Run(fmt.Sprintf("%s/%d", kind, size), func(b *testing.B) {
				m := newMount(b)
				m.ok(update, "keys/a", object{"type": kind})
				m.benchmark(b, "encrypt/a", `{"plaintext":"`+b64(strings.Repeat("x", size))+`"}`)
			})
		}
	}
}

func BenchmarkEncryptConvergent(b *testing.B) {
	m := newMount(b)
	m.ok(update, "keys/a", object{"derived": true, "convergent_encryption": true})
	m.benchmark(b, "encrypt/a", `{"context":"Y3R4","plaintext":"`+b64(strings.Repeat("x", 64))+`"}`)
}

func BenchmarkEncryptBatch100(b *testing.B) {
	m := newMount(b)
	m.ok(update, "keys/a", nil)
	item := `{"plaintext":"` + b64(strings.Repeat("x", 64)) + `"}`
	m.benchmark(b, "encrypt/a", `{"batch_input":[`+item+strings.Repeat(","+item, 99)+`]}`)
}

func BenchmarkDecrypt(b *testing.B) {
	m := newMount(b)
	made := m.str(update, "encrypt/a", object{"plaintext": b64(strings.Repeat("x", 64))}, "ciphertext")
	m.benchmark(b, "decrypt/a", encode(b, object{"ciphertext": made}))
}

func BenchmarkSign(b *testing.B) {
	for _, kind := range []string{"ed25519", "ecdsa-p256", "rsa-2048"} {
		b.Run(kind, func(b *testing.B) {
			m := newMount(b)
			m.ok(update, "keys/a", object{"type": kind})
			m.benchmark(b, "sign/a", `{"input":"aGVsbG8="}`)
		})
	}
}
