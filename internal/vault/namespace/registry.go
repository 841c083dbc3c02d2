package namespace

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"io"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Where namespaces are stored. A purge key names one that was deleted and whose
// belongings are still to be; a used key an ID that was given once, for ever:
// what carries the ID of a deleted namespace must never fit another.
const (
	Prefix      = "namespace/"
	EntryPrefix = Prefix + "entry/"
	PurgePrefix = Prefix + "purge/"
	usedPrefix  = Prefix + "used/"
	guardKey    = Prefix + "guard" // rewritten by every change of the tree
)

// Reader is what reading needs. *store.Txn, engine.Tx and store.Store have it.
type Reader interface {
	Get(ctx context.Context, key string) (store.Entry, error)
	List(ctx context.Context, folder, after string, limit int) ([]string, error)
}

// Tx is what changing needs: a view of the whole store.
type Tx interface {
	Reader
	Put(key string, value []byte)
	Delete(key string)
}

// Config is what a Registry needs.
type Config struct {
	Store  Reader
	Now    func() time.Time
	Random io.Reader // crypto/rand if nil
}

// Registry keeps the Table in step with the stored entries. Its methods are
// safe for concurrent use.
type Registry struct {
	cfg   Config
	table atomic.Pointer[Table]
	mu    sync.Mutex // serialises Reload
}

// NewRegistry returns a registry that knows the root alone; call Reload.
func NewRegistry(cfg Config) *Registry {
	if cfg.Random == nil {
		cfg.Random = rand.Reader
	}
	r := &Registry{cfg: cfg}
	r.table.Store(newTable(nil))
	return r
}

// Table returns the namespaces as they are now.
func (r *Registry) Table() *Table { return r.table.Load() }

// Reload reads all entries and swaps the table.
func (r *Registry) Reload(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	guard, err := r.cfg.Store.Get(ctx, guardKey)
	if err != nil {
		return errs.Newf(errs.KindOf(err), "reading the state of the namespaces: %w", err)
	}
	ids, err := r.cfg.Store.List(ctx, EntryPrefix, "", 0)
	if err != nil {
		return errs.Newf(errs.KindOf(err), "listing namespaces: %w", err)
	}
	entries := make([]*Entry, 0, len(ids))
	for _, id := range ids {
		stored, err := r.cfg.Store.Get(ctx, EntryPrefix+id)
		if err != nil {
			return errs.Newf(errs.KindOf(err), "reading namespace %s: %w", id, err)
		}
		if !stored.Exists() {
			continue // gone since it was listed
		}
		e, err := store.Decode(stored, decode)
		if err != nil {
			return err
		}
		entries = append(entries, e)
	}
	next := newTable(entries)
	next.guard = guard.Revision
	r.table.Store(next)
	return nil
}

// Fresh returns a table that has all changes before tx, and makes tx conflict
// with every later one. What tx itself changed is not in it.
func (r *Registry) Fresh(ctx context.Context, tx Reader) (*Table, error) {
	stored, err := tx.Get(ctx, guardKey)
	if err != nil {
		return nil, err
	}
	own := stored.Revision == ^store.Revision(0) // tx has been here before
	if table := r.Table(); own || table.guard == stored.Revision {
		return table, nil
	}
	if err := r.Reload(ctx); err != nil {
		return nil, err
	}
	return r.Table(), nil
}

// guarded is Fresh for a change of the tree.
func (r *Registry) guarded(ctx context.Context, tx Tx) (*Table, error) {
	table, err := r.Fresh(ctx, tx)
	if err != nil {
		return nil, err
	}
	stamp := make([]byte, 8)
	if _, err := io.ReadFull(r.cfg.Random, stamp); err != nil {
		return nil, errs.Newf(errs.Internal, "stamping the namespaces: %w", err)
	}
	tx.Put(guardKey, stamp)
	return table, nil
}

// Add stores a new namespace at path, which CleanPath gave. Kinds: Exist; NotExist
// (there is no namespace for it to be in).
func (r *Registry) Add(ctx context.Context, tx Tx, path string, metadata map[string]string) (*Entry, error) {
	table, err := r.guarded(ctx, tx)
	if err != nil {
		return nil, err
	}
	if table.ByPath(path) != nil {
		return nil, errs.Newf(errs.Exist, "namespace %q exists already", path)
	}
	e := &Entry{Path: path, Metadata: maps.Clone(metadata), Created: r.cfg.Now().UTC()}
	if above := e.Parent(); above != "" && table.ByPath(above) == nil {
		return nil, errs.Newf(errs.NotExist, "there is no namespace %q: create it first", above)
	}
	id, err := uuid.NewRandomFromReader(r.cfg.Random)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making the ID of a namespace: %w", err)
	}
	e.UUID = id.String()
	if e.ID, err = r.newID(ctx, tx); err != nil {
		return nil, err
	}
	tx.Put(usedPrefix+e.ID, []byte{1})
	tx.Put(EntryPrefix+e.ID, encode(e))
	return e, nil
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// newID returns an ID that no namespace ever had.
func (r *Registry) newID(ctx context.Context, tx Reader) (string, error) {
	for range 64 {
		raw := make([]byte, idLen)
		if _, err := io.ReadFull(r.cfg.Random, raw); err != nil {
			return "", errs.Newf(errs.Internal, "making the ID of a namespace: %w", err)
		}
		for i, c := range raw {
			raw[i] = base62[int(c)%len(base62)] // a little uneven, which is no matter: IDs are no secrets
		}
		used, err := tx.Get(ctx, usedPrefix+string(raw))
		if err != nil {
			return "", err
		}
		if !used.Exists() {
			return string(raw), nil
		}
	}
	return "", errs.New(errs.Exhausted, "no ID is free for a namespace")
}

// Update stores what change makes of the namespace with this ID. change is given
// a copy of the entry as it stands, may refuse by an error, and replaces maps
// instead of changing them; path and IDs stay. Kind NotExist: it was deleted.
func (r *Registry) Update(ctx context.Context, tx Tx, id string, change func(*Entry) error) error {
	table, err := r.guarded(ctx, tx)
	if err != nil {
		return err
	}
	now := table.Entry(id)
	if now == nil {
		return errs.New(errs.NotExist, "the namespace was deleted meanwhile")
	}
	e := *now
	if err := change(&e); err != nil {
		return err
	}
	e.ID, e.UUID, e.Path = now.ID, now.UUID, now.Path
	tx.Put(EntryPrefix+id, encode(&e))
	return nil
}

// Remove deletes the namespace with this ID, which has none below it, in tx, and
// leaves a purge key, by which its belongings are deleted. From the commit on
// nothing leads to them. Kind Invalid: there are namespaces below it.
func (r *Registry) Remove(ctx context.Context, tx Tx, id string) error {
	table, err := r.guarded(ctx, tx)
	if err != nil {
		return err
	}
	e := table.Entry(id)
	if e == nil {
		return nil
	}
	if below := table.Children(e.Path); len(below) > 0 {
		return errs.Newf(errs.Invalid, "namespace %q contains child namespaces: delete the %d below it first", e.Path, len(below))
	}
	tx.Delete(EntryPrefix + id)
	tx.Put(PurgePrefix+id, encode(e))
	return nil
}

// Removed returns the deleted namespaces whose belongings may still be stored.
func (r *Registry) Removed(ctx context.Context) ([]*Entry, error) {
	ids, err := r.cfg.Store.List(ctx, PurgePrefix, "", 0)
	if err != nil {
		return nil, err
	}
	var removed []*Entry
	for _, id := range ids {
		stored, err := r.cfg.Store.Get(ctx, PurgePrefix+id)
		if err != nil {
			return nil, err
		}
		if !stored.Exists() {
			continue
		}
		e, err := decode(stored.Value)
		if err != nil {
			return nil, err
		}
		removed = append(removed, e)
	}
	return removed, nil
}

// NewLock returns a lock and the key that opens it, which nothing else holds.
func (r *Registry) NewLock() (*Lock, redact.Secret, error) {
	raw := make([]byte, 32)
	if _, err := io.ReadFull(r.cfg.Random, raw); err != nil {
		return nil, redact.Secret{}, errs.Newf(errs.Internal, "making an unlock key: %w", err)
	}
	key := base64.RawURLEncoding.EncodeToString(raw)
	sum := sha256.Sum256([]byte(key))
	return &Lock{KeyHash: sum[:]}, redact.FromString(key), nil
}

// Opens reports whether key is the lock's. The key has 256 bits of randomness,
// so that a plain hash of it says nothing.
func (l *Lock) Opens(key redact.Secret) bool {
	sum := sha256.Sum256(key.Reveal())
	return subtle.ConstantTimeCompare(sum[:], l.KeyHash) == 1
}
