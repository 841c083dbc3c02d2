package purge_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/identity"
	"github.com/strongkeep/strongkeep/internal/vault/leader"
	"github.com/strongkeep/strongkeep/internal/vault/lease"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/namespace"
	"github.com/strongkeep/strongkeep/internal/vault/password"
	"github.com/strongkeep/strongkeep/internal/vault/purge"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/fault"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
	"github.com/strongkeep/strongkeep/internal/vault/token"
)

// plain is an engine that does nothing.
type plain struct{}

func (plain) Routes() []engine.Route { return nil }
func (plain) Close() error           { return nil }

// tx is a transaction that announces nothing.
type tx struct{ *store.Txn }

func (tx) Emit(engine.Event) {}

// bench is a vault with a namespace that was removed, one that was not, and all that belongs to both.
type bench struct {
	*testing.T
	*purge.Purger
	store  *fault.Store
	mounts *mount.Registry
	names  *namespace.Registry
	tokens *token.Manager
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{T: t, store: fault.New(mem.New(mem.Config{}))}
	t.Cleanup(func() { _ = b.store.Close() })
	b.mounts = mount.NewRegistry(mount.Config{
		Store: b.store, Now: time.Now, Random: rand.Reader, Log: slog.New(slog.DiscardHandler),
		Types: func(mount.Class) map[string]engine.Factory {
			return map[string]engine.Factory{"plain": func(engine.Config) (engine.Engine, error) { return plain{}, nil }}
		},
		Host: func(*mount.Entry) mount.Host { return mount.Host{} },
	})
	t.Cleanup(func() { _ = b.mounts.Close() })
	b.names = namespace.NewRegistry(namespace.Config{Store: b.store, Now: time.Now})
	var err error
	if b.tokens, err = token.New(token.Config{Key: redact.New(bytes.Repeat([]byte{7}, 32))}); err != nil {
		t.Fatal(err)
	}
	b.Purger = purge.New(purge.Config{
		Mounts: b.mounts, Namespaces: b.names, Tokens: b.tokens, Reload: new(sync.Mutex), Log: slog.New(slog.DiscardHandler),
		Leases: lease.NewManager(lease.ManagerConfig{Store: b.store}),
	})
	return b
}

func (b *bench) commit(change func(tx) error) {
	b.Helper()
	t := tx{store.Begin(b.store)}
	if err := change(t); err != nil {
		b.Fatal(err)
	}
	if _, err := t.Commit(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := b.mounts.Reload(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := b.names.Reload(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// team makes a namespace with a mount, a token, and what engines keep for it.
func (b *bench) team(path string) *namespace.Entry {
	b.Helper()
	var ns *namespace.Entry
	b.commit(func(t tx) (err error) {
		ns, err = b.names.Add(b.Context(), t, path, nil)
		return err
	})
	b.commit(func(t tx) error {
		e := mount.Entry{Namespace: ns.ID, Class: mount.Secret, Path: "kv/", Type: "plain"}
		if err := b.mounts.Add(b.Context(), t, &e); err != nil {
			return err
		}
		t.Put(e.Storage()+"a/b", nil)
		t.Put(ns.Namespace().Folder()+"policy/x", nil)
		t.Put(password.Folder+ns.ID+"/x", nil)
		t.Put(identity.Folder(ns.ID)+"entity/x", nil)
		_, err := b.tokens.Create(b.Context(), t, token.Spec{Namespace: ns.ID, TTL: time.Hour, Default: time.Hour, Max: time.Hour, Policies: []string{"default"}})
		return err
	})
	return ns
}

func (b *bench) remove(ns *namespace.Entry) {
	b.Helper()
	b.commit(func(t tx) error { return b.names.Remove(b.Context(), t, ns.ID) })
}

// keys are all that is stored.
func (b *bench) keys() map[string]bool {
	b.Helper()
	all := map[string]bool{}
	var walk func(folder string)
	walk = func(folder string) {
		names, err := b.store.List(b.Context(), folder, "", 0)
		if err != nil {
			b.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "/") {
				walk(folder + name)
			} else {
				all[folder+name] = true
			}
		}
	}
	walk("")
	return all
}

// want holds what is stored against what was.
func (b *bench) want(what string, before, after map[string]bool) {
	b.Helper()
	for key := range after {
		if !before[key] && !passing(key) {
			b.Errorf("%s: %s is left", what, key)
		}
	}
	for key := range before {
		if !after[key] && !passing(key) {
			b.Errorf("%s: %s is gone", what, key)
		}
	}
}

// passing are keys that say that something was there once.
func passing(key string) bool {
	for _, folder := range []string{"namespace/used/", "namespace/guard", "mount/guard"} {
		if strings.HasPrefix(key, folder) {
			return true
		}
	}
	return false
}

// A namespace that was removed leaves nothing, and takes nothing with it.
func TestNamespace(t *testing.T) {
	b := newBench(t)
	b.team("stays/")
	before := b.keys()
	b.remove(b.team("goes/"))
	if !b.Once(t.Context(), b.store) {
		t.Error("something is left")
	}
	b.want("after the purge", before, b.keys())
	if !b.Once(t.Context(), b.store) {
		t.Error("nothing to do is a failure")
	}
}

// Broken off at any step, it is taken up again and comes to the same end.
func TestBrokenOff(t *testing.T) {
	for step := 0; ; step++ {
		b := newBench(t)
		b.team("stays/")
		before := b.keys()
		b.remove(b.team("goes/"))
		undo := b.store.Add(fault.Rule{Op: fault.Apply, Skip: step, Err: errs.New(errs.Unavailable, "down"), After: step%2 == 1})
		whole := b.Once(t.Context(), b.store)
		undo()
		if whole {
			if step < 5 {
				t.Errorf("a purge of %d steps", step)
			}
			return
		}
		if !b.Once(t.Context(), b.store) {
			t.Errorf("broken off at step %d, something is left", step)
		}
		b.want("broken off", before, b.keys())
	}
}

// Who does the background work no more deletes nothing.
func TestFenced(t *testing.T) {
	b := newBench(t)
	b.remove(b.team("goes/"))
	before := b.keys()
	b.store.Add(fault.Rule{Op: fault.Apply, Err: leader.ErrLost})
	if b.Once(t.Context(), b.store) {
		t.Error("it says that nothing is left")
	}
	b.want("fenced", before, b.keys())
}

// Run purges at once, after failures again with growing pauses, and when it is asked to.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		began := time.Now()
		var tries []time.Duration
		undo := b.store.Add(fault.Rule{Op: fault.List, Prefix: namespace.PurgePrefix, Err: errs.New(errs.Unavailable, "down")})
		looks := 0 // two of each try: for leases, and for data
		counted := counting{b.store, func() {
			if looks++; looks%2 == 1 {
				tries = append(tries, time.Since(began))
			}
		}}
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { b.Purger.Run(ctx, counted) })
		defer running.Wait()
		defer stop()
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := []time.Duration{0, 10 * time.Second, 30 * time.Second}; len(tries) != 3 || tries[1] != want[1] || tries[2] != want[2] {
			t.Fatalf("tried at %v, want %v", tries, want)
		}
		undo()
		b.Ask()
		synctest.Wait()
		if len(tries) != 4 {
			t.Errorf("asked, it tried at %v", tries)
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if len(tries) != 4 {
			t.Errorf("it goes on without being asked: %v", tries)
		}
	})
}

// counting notes when what removed mounts left is looked for.
type counting struct {
	store.Store
	note func()
}

func (c counting) List(ctx context.Context, folder, after string, limit int) ([]string, error) {
	if folder == mount.PurgePrefix {
		c.note()
	}
	return c.Store.List(ctx, folder, after, limit)
}
