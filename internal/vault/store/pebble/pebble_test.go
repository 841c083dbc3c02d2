package pebble_test

import (
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/feed"
	"github.com/strongkeep/strongkeep/internal/vault/store/pebble"
	"github.com/strongkeep/strongkeep/internal/vault/store/storetest"
)

func open(t testing.TB, cfg pebble.Config) *pebble.Store {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	s, err := pebble.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func suite(config func(t *testing.T) pebble.Config) (func(t *testing.T) store.Store, storetest.Options) {
	var configs sync.Map // by store, to open it again
	start := func(t *testing.T, cfg pebble.Config) store.Store {
		s := open(t, cfg)
		configs.Store(s, cfg)
		return s
	}
	return func(t *testing.T) store.Store { return start(t, config(t)) }, storetest.Options{
		Forgetful: func(t *testing.T) store.Store {
			cfg := config(t)
			cfg.History = feed.Config{Events: 64}
			return start(t, cfg)
		},
		Reopen: func(t *testing.T, s store.Store) store.Store {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			cfg, _ := configs.Load(s)
			return start(t, cfg.(pebble.Config))
		},
	}
}

func TestStore(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		start, options := suite(func(*testing.T) pebble.Config {
			return pebble.Config{Dir: "/a/b", FS: vfs.NewCrashableMem()}
		})
		storetest.Run(t, start, options)
	})
	t.Run("disk", func(t *testing.T) {
		start, options := suite(func(t *testing.T) pebble.Config {
			return pebble.Config{Dir: t.TempDir() + "/deep/store", MemTableBytes: 256 << 10}
		})
		storetest.Run(t, start, options)
	})
}

func BenchmarkApply(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(writers), func(b *testing.B) {
			storetest.BenchmarkApply(b, open(b, pebble.Config{Dir: b.TempDir()}), writers)
		})
	}
}

func BenchmarkGet(b *testing.B) {
	s := open(b, pebble.Config{Dir: b.TempDir()})
	const keys = 10_000
	for i := 0; i < keys; i += 100 {
		var changes []store.Change
		for j := range 100 {
			changes = append(changes, store.Put(fmt.Sprintf("f/%d", i+j), make([]byte, 300)))
		}
		if _, err := s.Apply(b.Context(), changes...); err != nil {
			b.Fatal(err)
		}
	}
	names := make([]string, keys)
	for i := range names {
		names[i] = fmt.Sprintf("f/%d", i)
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; b.Loop(); i++ {
		if e, err := s.Get(b.Context(), names[i%keys]); err != nil || !e.Exists() {
			b.Fatal(err)
		}
	}
}
