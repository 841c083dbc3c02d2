package mem_test

import (
	"testing"

	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/feed"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
	"github.com/strongkeep/strongkeep/internal/vault/store/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return mem.New(mem.Config{}) }, storetest.Options{
		Forgetful: func(*testing.T) store.Store {
			return mem.New(mem.Config{History: feed.Config{Events: 64}})
		},
	})
}

func BenchmarkGet(b *testing.B) {
	s := mem.New(mem.Config{})
	if _, err := s.Apply(b.Context(), store.Put("f/a", []byte("v"))); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Get(b.Context(), "f/a"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	s := mem.New(mem.Config{})
	value := make([]byte, 300)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Apply(b.Context(), store.Put("f/a", value), store.Put("f/b", value)); err != nil {
			b.Fatal(err)
		}
	}
}
