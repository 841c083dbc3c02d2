package unsealed

import (
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv/base"
	"github.com/strongkeep/strongkeep/internal/vault/audit"
	"github.com/strongkeep/strongkeep/internal/vault/audit/devices"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/seal"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/fault"
)

// memory is an audit device that forgets.
type memory struct{}

func (memory) Write([]byte) error { return nil }
func (memory) Reload() error      { return nil }
func (memory) Target() string     { return "memory" }
func (memory) Close() error       { return nil }

// elsewhere is another one.
type elsewhere struct{ memory }

func (elsewhere) Target() string { return "elsewhere" }

// devices are the types of audit devices; elsewhere can be refused.
func (b *bench) devices() map[string]audit.Factory {
	return map[string]audit.Factory{
		"memory": func(audit.Setup) (audit.Device, error) { return memory{}, nil },
		"elsewhere": func(audit.Setup) (audit.Device, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.noDevice {
				return nil, errs.New(errs.Unavailable, "no such directory")
			}
			return elsewhere{}, nil
		},
	}
}

// lab is an engine that has what an engine may have. A nil func does nothing.
type lab struct {
	cfg    engine.Config
	routes []engine.Route

	mu    sync.Mutex
	work  int           // calls of Work
	hang  chan struct{} // Work waits for its end, whatever its context says; nil = it does not
	renew func(*engine.Auth) (*engine.Auth, error)
	gone  []string // keys of tokens
}

func (l *lab) Routes() []engine.Route { return l.routes }
func (l *lab) Close() error           { return nil }

func (l *lab) Work(context.Context) (time.Time, error) {
	l.mu.Lock()
	l.work++
	hang := l.hang
	l.mu.Unlock()
	if hang != nil {
		<-hang
	}
	return time.Time{}, nil
}

func (l *lab) TokenGone(_ context.Context, _ engine.Tx, key string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gone = append(l.gone, key)
	return nil
}

func (l *lab) Renew(_ context.Context, _ engine.Tx, a *engine.Auth) (*engine.Auth, error) {
	if l.renew == nil {
		return nil, nil
	}
	return l.renew(a)
}

func noHandler(context.Context, engine.Tx, *engine.Request) (*engine.Response, error) {
	return nil, nil
}

var all = map[engine.Operation]engine.Handler{engine.Read: noHandler, engine.Update: noHandler}

// bench is a vault over a store in memory, with a lab at each mount.
type bench struct {
	t     *testing.T
	cfg   Config
	log   *audit.Broker
	raw   store.Store
	fault *fault.Store // below the open vault
	v     *Vault
	root  redact.Secret

	mu       sync.Mutex
	labs     map[string]*lab // by mount path, of the vault opened last
	noDevice bool            // elsewhere is refused
}

// newBench sets a vault up and opens it. change, if not nil, alters how.
func newBench(t *testing.T, change func(*Config)) *bench {
	t.Helper()
	b := &bench{t: t, raw: base.Open(t), labs: map[string]*lab{}}
	b.log = audit.NewBroker(audit.Config{
		Types: b.devices(),
		Log:   slog.New(slog.DiscardHandler), Now: time.Now,
	})
	b.cfg = Config{
		Barrier: seal.New(seal.Config{Store: b.raw}),
		Open: func(raw store.Store, _ *seal.Keyring) (store.Store, error) {
			b.fault = fault.New(store.Borrow(raw))
			return b.fault, nil
		},
		Types: b.types,
		TTLs:  engine.TTLs{Default: time.Hour, Max: 24 * time.Hour},
		Defaults: Defaults{
			Audit: []devices.Device{{Spec: audit.Spec{Path: "memory/", Type: "memory"}}},
			Mounts: []mount.Entry{
				{Class: mount.Secret, Path: "lab/", Type: "lab"}, {Class: mount.Auth, Path: "auth/lab/", Type: "lab"},
			},
		},
		Now: time.Now, Random: rand.Reader, Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&b.cfg)
	}
	_, err := b.cfg.Barrier.Init(t.Context(), seal.InitConfig{Shares: 1, Threshold: 1, Setup: func(ctx context.Context, keys *seal.Keyring) (changes []store.Change, err error) {
		changes, b.root, err = Setup(ctx, &b.cfg, b.log, b.raw, keys)
		return changes, err
	}})
	if err != nil {
		t.Fatal("setting up:", err)
	}
	t.Cleanup(func() {
		if b.v != nil {
			b.close()
		}
		if err := b.cfg.Barrier.Close(); err != nil {
			t.Error("closing the barrier:", err)
		}
		if err := b.log.Close(); err != nil {
			t.Error("closing the audit log:", err)
		}
		if err := b.raw.Close(); err != nil {
			t.Error("closing the store:", err)
		}
	})
	b.open()
	return b
}

func (b *bench) types(*Vault) Types {
	one := map[string]engine.Factory{"lab": b.lab, "system": b.lab, "token": b.lab, "cubbyhole": b.lab}
	return Types{Secrets: one, Auths: one, Systems: one}
}

func (b *bench) lab(cfg engine.Config) (engine.Engine, error) {
	l := &lab{cfg: cfg, routes: []engine.Route{
		{Pattern: "plain/{name...}", Summary: "plain", Handlers: all},
		{Pattern: "sudo/{name...}", Summary: "sudo", Sudo: true, Handlers: all},
		{Pattern: "twice/{name...}", Summary: "of many spellings", Canonical: lower, Handlers: all},
	}}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.labs[cfg.MountPath()] = l
	return l, nil
}

func (b *bench) open() {
	b.t.Helper()
	v, err := Open(b.t.Context(), &b.cfg, b.log, b.raw, b.cfg.Barrier.Keyring())
	if err != nil {
		b.t.Fatal("opening:", err)
	}
	b.v = v
}

func (b *bench) close() {
	b.t.Helper()
	if err := b.v.Close(); err != nil {
		b.t.Error("closing:", err)
	}
	b.v = nil
}

// commit commits what change does.
func (b *bench) commit(change func(tx *Tx) error) {
	b.t.Helper()
	if err := b.v.Commit(b.t.Context(), change); err != nil {
		b.t.Fatal(err)
	}
}

// takeUp is commit, as a request to sys/ does it.
func (b *bench) takeUp(change func(tx *Tx) error) error {
	b.t.Helper()
	var last *Tx
	b.commit(func(tx *Tx) error { last = tx; return change(tx) })
	return b.v.TakeUp(b.t.Context(), last)
}
