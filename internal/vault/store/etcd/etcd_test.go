package etcd_test

import (
	"fmt"
	"testing"

	"github.com/strongkeep/strongkeep/internal/testenv/etcdtest"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/cached"
	"github.com/strongkeep/strongkeep/internal/vault/store/etcd"
	"github.com/strongkeep/strongkeep/internal/vault/store/feed"
	"github.com/strongkeep/strongkeep/internal/vault/store/storetest"
)

func open(t testing.TB, cfg etcd.Config) *etcd.Store {
	t.Helper()
	s, err := etcd.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStore(t *testing.T) {
	server := etcdtest.Shared(t)
	configs := map[store.Store]etcd.Config{}
	fresh := func(t *testing.T, cfg etcd.Config) store.Store {
		s := open(t, cfg)
		configs[s] = cfg
		return s
	}
	storetest.Run(t, func(t *testing.T) store.Store { return fresh(t, server.Config()) }, storetest.Options{
		Reopen: func(t *testing.T, s store.Store) store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			return fresh(t, configs[s])
		},
		Forgetful: func(t *testing.T) store.Store {
			cfg := server.Config()
			cfg.History = feed.Config{Events: 64}
			return fresh(t, cfg)
		},
	})
}

// The fence of an owner is part of every transaction.
func TestExclusiveStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		cfg := etcdtest.Shared(t).Config()
		cfg.Exclusive = true
		return open(t, cfg)
	}, storetest.Options{})
}

func TestStoreUnderTheCache(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store {
		return cached.New(open(t, etcdtest.Shared(t).Config()), cached.Config{MaxSilence: 10 * etcd.MaxSilenceShared})
	}, storetest.Options{})
}

func benchStore(b *testing.B) *etcd.Store {
	return open(b, etcdtest.Start(b, etcdtest.Options{}).Config())
}

func BenchmarkGet(b *testing.B) {
	s := benchStore(b)
	if _, err := s.Apply(b.Context(), store.Put("f/a", make([]byte, 300))); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := s.Get(b.Context(), "f/a"); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkApply is what BenchmarkApply of package pebble measures: writers
// that each write two keys of 300 bytes, durably.
func BenchmarkApply(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			storetest.BenchmarkApply(b, benchStore(b), writers)
		})
	}
}
