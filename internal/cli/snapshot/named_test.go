package snapshot

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	compose "github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/fault"
	"github.com/strongkeep/strongkeep/internal/vault/store/mem"
)

// late is a store that does not answer in time.
func late(op fault.Op) store.Store {
	s := fault.New(mem.New(mem.Config{}))
	s.Add(fault.Rule{Op: op, Err: errs.Newf(errs.Unavailable, "etcd did not answer in time: %w", context.DeadlineExceeded)})
	return s
}

// Whatever of a store does not answer in time is said of that store, and not of the server of VAULT_ADDR.
func TestStoreIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "server.yaml")
	if err := os.WriteFile(file, []byte("storage: etcd\netcd_endpoints: [\"http://127.0.0.1:1\", \"http://127.0.0.2:1\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := &app{&session.Session{Env: session.Env{Getenv: func(string) string { return "" }, Stderr: os.Stderr}}}
	use := func(op fault.Op, do func(store.Store) error) error {
		open := func(context.Context, compose.ServerConfig) (store.Store, error) { return late(op), nil }
		return a.with(t.Context(), file, open, func(_ compose.ServerConfig, s store.Store) error { return do(s) })
	}
	for name, err := range map[string]error{
		"opening": a.with(t.Context(), file, func(context.Context, compose.ServerConfig) (store.Store, error) {
			return nil, errs.Newf(errs.Unavailable, "opening the store: %w", context.DeadlineExceeded)
		}, nil),
		"get":   use(fault.Get, func(s store.Store) error { _, err := s.Get(t.Context(), "a"); return err }),
		"list":  use(fault.List, func(s store.Store) error { _, err := s.List(t.Context(), "", "", 0); return err }),
		"apply": use(fault.Apply, func(s store.Store) error { _, err := s.Apply(t.Context(), store.Put("a", nil)); return err }),
		"watch": use(fault.Watch, func(s store.Store) error { _, err := s.Watch(t.Context(), "", 0); return err }),
	} {
		said := fmt.Sprint(a.Explain(err))
		if !errs.Is(err, errs.Unavailable) || !strings.Contains(said, "the store of "+file+" http://127.0.0.1:1, http://127.0.0.2:1: ") || strings.Contains(said, "VAULT_") {
			t.Errorf("%s: %s", name, said)
		}
	}
	if err := use(fault.Get, func(s store.Store) error { return errs.New(errs.Exist, "it is not empty") }); fmt.Sprint(a.Explain(err)) != "it is not empty" {
		t.Error(err)
	}
}
