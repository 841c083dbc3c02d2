package mount

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Config is what a Registry needs. All fields are set.
type Config struct {
	Store  store.Store
	Types  func(Class) map[string]engine.Factory // by type name, for each class
	TTLs   engine.TTLs                           // the system's defaults
	Now    func() time.Time
	Random io.Reader
	Log    *slog.Logger
	Host   func(*Entry) Host // what an engine works with by itself
	// Closing is called before the engine of a mount that is gone is closed; nil = not.
	Closing func(*Mount)
}

// Host is what the owner of the Registry gives one engine; see engine.Config.
type Host struct {
	Update   func(ctx context.Context, change func(ctx context.Context, tx engine.Tx) error) error
	Duty     func(ctx context.Context, change func(ctx context.Context, tx engine.Tx) error) error
	Wake     func()
	Password func(ctx context.Context, policy string) (redact.Secret, error)
}

// Registry keeps the running mounts in step with the stored entries.
type Registry struct {
	cfg   Config
	table atomic.Pointer[Table]

	mu sync.Mutex // serialises Reload and Close
}

// NewRegistry returns a registry with an empty table; call Reload.
func NewRegistry(cfg Config) *Registry {
	r := &Registry{cfg: cfg}
	r.table.Store(newTable(nil))
	return r
}

// Table returns the mounts as they are now.
func (r *Registry) Table() *Table { return r.table.Load() }

// Factory returns the factory of a type within a class. Kind Invalid, with the
// known types, if there is none.
func (r *Registry) Factory(class Class, kind string) (engine.Factory, error) {
	types := r.cfg.Types(class)
	noun := map[Class]string{Secret: "secrets engine", Auth: "auth method", System: "system mount"}[class]
	if f := types[kind]; f != nil {
		return f, nil
	}
	return nil, errs.Newf(errs.Invalid, "unknown %s type %q; known types: %s", noun, kind, names(types))
}

// Types returns the names of what can be mounted, sorted.
func (r *Registry) Types(class Class) []string {
	return slices.Sorted(maps.Keys(r.cfg.Types(class)))
}

// Reload reads all entries and swaps the table. Engines of mounts that stay
// keep running; those of mounts that are gone are closed.
func (r *Registry) Reload(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	guard, err := r.cfg.Store.Get(ctx, guardKey)
	if err != nil {
		return errs.Newf(errs.KindOf(err), "reading the state of the mount table: %w", err)
	}
	ids, err := r.cfg.Store.List(ctx, EntryPrefix, "", 0)
	if err != nil {
		return errs.Newf(errs.KindOf(err), "listing mounts: %w", err)
	}
	old := r.table.Load()
	mounts := make([]*Mount, 0, len(ids))
	for _, id := range ids {
		m, err := r.load(ctx, id, old)
		if err != nil {
			return err
		}
		if m != nil {
			mounts = append(mounts, m)
		}
	}
	next := newTable(mounts)
	next.guard = guard.Revision
	r.table.Store(next)
	for id, m := range old.byID {
		if next.byID[id] == nil {
			r.close(m)
		}
	}
	return nil
}

func (r *Registry) load(ctx context.Context, id string, old *Table) (*Mount, error) {
	stored, err := r.cfg.Store.Get(ctx, EntryPrefix+id)
	if err != nil {
		return nil, errs.Newf(errs.KindOf(err), "reading mount %s: %w", id, err)
	}
	if !stored.Exists() {
		return nil, nil
	}
	running := old.ByID(id)
	if running != nil && running.revision == stored.Revision {
		return running, nil
	}
	entry, err := decodeEntry(stored.Value)
	if err != nil {
		return nil, err
	}
	m := &Mount{Entry: *entry, TTLs: r.Effective(&entry.Config), Log: r.log(entry), revision: stored.Revision, storage: entry.Storage()}
	if running != nil {
		m.Engine, m.Router = running.Engine, running.Router
		return m, nil
	}
	m.Engine, m.Router, err = r.Build(entry)
	return m, err
}

// Build makes the engine of an entry and checks its routes.
func (r *Registry) Build(entry *Entry) (engine.Engine, *engine.Router, error) {
	factory, err := r.Factory(entry.Class, entry.Type)
	if err != nil {
		return nil, nil, err
	}
	id, path, tuning := entry.ID, entry.Path, entry.Config
	host := r.cfg.Host(entry)
	e, err := factory(engine.Config{
		MountID: id,
		MountPath: func() string {
			if m := r.Table().ByID(id); m != nil {
				return m.Path
			}
			return path
		},
		Options: entry.Options,
		Log:     r.log(entry),
		Now:     r.cfg.Now,
		Random:  r.cfg.Random,
		TTL: func() engine.TTLs {
			if m := r.Table().ByID(id); m != nil {
				return m.TTLs
			}
			return r.Effective(&tuning)
		},
		Lockout: func() engine.Lockout {
			now := tuning.Lockout
			if m := r.Table().ByID(id); m != nil {
				now = m.Config.Lockout
			}
			if now == nil {
				return engine.DefaultLockout()
			}
			return *now
		},
		Update: host.Update, Duty: host.Duty, Wake: host.Wake, Password: host.Password,
	})
	if err != nil {
		return nil, nil, errs.Newf(errs.KindOf(err), "making the %s engine for %q: %w", entry.Type, path, err)
	}
	router, err := engine.NewRouter(e.Routes())
	if err != nil {
		_ = e.Close()
		return nil, nil, errs.Newf(errs.Internal, "reading the routes of the %s engine: %w", entry.Type, err)
	}
	return e, router, nil
}

func (r *Registry) log(e *Entry) *slog.Logger {
	log := r.cfg.Log.With("mount", e.Path, "type", e.Type)
	if e.Namespace != "" {
		log = log.With("namespace", e.Namespace)
	}
	return log
}

// Effective fills a mount's TTLs from the system's where it has none.
func (r *Registry) Effective(t *Tuning) engine.TTLs {
	ttls := r.cfg.TTLs
	if t.MaxTTL > 0 {
		ttls.Max = t.MaxTTL
	}
	if t.DefaultTTL > 0 {
		ttls.Default = t.DefaultTTL
	}
	ttls.Default = min(ttls.Default, ttls.Max)
	return ttls
}

// Close closes every engine and empties the table.
func (r *Registry) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.table.Swap(newTable(nil))
	for _, m := range old.byID {
		r.close(m)
	}
	return nil
}

func (r *Registry) close(m *Mount) {
	if r.cfg.Closing != nil {
		r.cfg.Closing(m)
	}
	if err := m.Engine.Close(); err != nil {
		r.cfg.Log.Warn("closing an engine", "mount", m.Path, "error", err)
	}
}

// Encode returns the entry as it is stored.
func Encode(e *Entry) []byte {
	b, err := json.Marshal(e)
	if err != nil {
		panic(err) // strings, numbers and maps of strings always encode
	}
	return b
}
