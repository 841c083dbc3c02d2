package v2

import (
	"context"
	"testing"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/enginetest"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// cachedTx is a Tx as the gate makes it over a cached store: a Txn whose reads
// hit entries that carry a Memo.
type cachedTx struct {
	*store.Txn
}

func (cachedTx) Emit(engine.Event) {}

// cachedStore answers Get from a map, as the cached decorator does on a hit.
type cachedStore struct {
	store.Store
	entries map[string]store.Entry
}

func (c cachedStore) Get(_ context.Context, key string) (store.Entry, error) {
	return c.entries[key], nil
}

func benchStore(b *testing.B) cachedStore {
	b.Helper()
	m := mount{enginetest.New(b, New), b}
	for range 3 {
		m.ok(update, "data/my-app/config", `{"data":{"username":"app","password":"correct horse battery staple","port":5432}}`)
	}
	c := cachedStore{entries: map[string]store.Entry{}}
	for key, value := range m.Stored(b) {
		c.entries[key] = store.Entry{Key: key, Value: []byte(value), Revision: 7}.WithMemo(new(store.Memo))
	}
	return c
}

func benchRequest(b *testing.B, op engine.Operation, body string) (*engine.Request, engine.Handler) {
	b.Helper()
	parsed, err := engine.ParseBody([]byte(body))
	if err != nil {
		b.Fatal(err)
	}
	router, err := engine.NewRouter((&Engine{}).Routes())
	if err != nil {
		b.Fatal(err)
	}
	route, params, _ := router.Match("data/my-app/config")
	return &engine.Request{Operation: op, Path: "data/my-app/config", Params: params, Body: parsed}, route.Handler(op)
}

func BenchmarkRead(b *testing.B) {
	s := benchStore(b)
	req, handler := benchRequest(b, read, "")
	b.ReportAllocs()
	for b.Loop() {
		res, err := handler(b.Context(), cachedTx{store.Begin(s)}, req)
		if err != nil || res.Status != 0 {
			b.Fatal(res, err)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	s := benchStore(b)
	req, handler := benchRequest(b, update, `{"data":{"username":"app","password":"correct horse battery staple","port":5432},"options":{"cas":3}}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := handler(b.Context(), cachedTx{store.Begin(s)}, req); err != nil {
			b.Fatal(err)
		}
	}
}
