package token

import (
	"context"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// memo is a store as the cached decorator shows it: entries keep what they were
// decoded to.
type memo map[string]store.Entry

func (m memo) Get(_ context.Context, key string) (store.Entry, error)      { return m[key], nil }
func (m memo) List(context.Context, string, string, int) ([]string, error) { return nil, nil }
func (m memo) Put(key string, value []byte) {
	m[key] = store.Entry{Key: key, Value: value, Revision: 1}.WithMemo(new(store.Memo))
}
func (m memo) Delete(key string) { delete(m, key) }

func cached(tb testing.TB, s Spec) (*Manager, memo, string) {
	m, err := New(Config{Key: redact.New(make([]byte, 32))})
	if err != nil {
		tb.Fatal(err)
	}
	r := memo{}
	c, err := m.Create(context.Background(), r, spec(s))
	if err != nil {
		tb.Fatal(err)
	}
	return m, r, c.Token.RevealString()
}

func BenchmarkLookup(b *testing.B) {
	for name, s := range map[string]Spec{"service": {TTL: time.Hour}, "batch": {TTL: time.Hour, Type: Batch}} {
		b.Run(name, func(b *testing.B) {
			m, r, token := cached(b, s)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := m.Lookup(context.Background(), r, token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCreate(b *testing.B) {
	m, r, _ := cached(b, Spec{TTL: time.Hour})
	b.ReportAllocs()
	for b.Loop() {
		clear(r)
		if _, err := m.Create(context.Background(), r, spec(Spec{TTL: time.Hour})); err != nil {
			b.Fatal(err)
		}
	}
}

// Every request pays for a lookup.
func TestLookupAllocatesOnce(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector makes pools forget")
	}
	m, r, token := cached(t, Spec{TTL: time.Hour})
	n := testing.AllocsPerRun(1000, func() {
		if _, err := m.Lookup(context.Background(), r, token); err != nil {
			t.Fatal(err)
		}
	})
	if n > 2 {
		t.Errorf("a lookup allocates %v times, want at most 2", n)
	}
}
