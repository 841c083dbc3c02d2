package enginetest

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// mountPrefix is where the harness keeps its one mount.
const mountPrefix = "mount/0b0e/"

// tx is engine.Tx over a store.Txn, confined to mountPrefix.
type tx struct {
	txn     *store.Txn
	events  []engine.Event
	touched bool // the store was asked something
}

var _ engine.Tx = (*tx)(nil)

func (t *tx) Get(ctx context.Context, key string) (engine.Entry, error) {
	t.touched = true
	e, err := t.txn.Get(ctx, mountPrefix+key)
	e.Key = key
	return e, err
}

func (t *tx) List(ctx context.Context, folder, after string, limit int) ([]string, error) {
	t.touched = true
	names, err := t.txn.List(ctx, mountPrefix+folder, after, limit)
	// A fixed order that is not alphabetical, as the sealed store has it.
	if after == "" && limit == 0 {
		names = slices.Clone(names)
		slices.Reverse(names)
	}
	return names, err
}

func (t *tx) Put(key string, value []byte) { t.txn.Put(mountPrefix+key, value) }
func (t *tx) Delete(key string)            { t.txn.Delete(mountPrefix + key) }
func (t *tx) Emit(e engine.Event)          { t.events = append(t.events, e) }

// writes returns what the transaction changes, sorted by key.
func (t *tx) writes() []store.Change {
	var writes []store.Change
	for _, c := range t.txn.Changes() {
		if c.Op != store.OpCheck {
			writes = append(writes, c)
		}
	}
	slices.SortFunc(writes, func(a, b store.Change) int { return cmp.Compare(a.Key, b.Key) })
	return writes
}

// memoStore gives entries a Memo per revision, as the cached decorator does,
// and remembers every value it handed out, to find an engine that changes one.
type memoStore struct {
	store.Store

	mu    sync.Mutex
	known map[string]*handed // by key
	dead  []*handed          // of older revisions
	fail  error              // what the next Apply returns instead of doing anything
}

type handed struct {
	entry store.Entry
	value []byte // a copy of entry.Value
}

func (s *memoStore) Get(ctx context.Context, key string) (store.Entry, error) {
	e, err := s.Store.Get(ctx, key)
	if err != nil || !e.Exists() {
		return e, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.known[key]
	if old != nil && old.entry.Revision == e.Revision {
		return old.entry, nil
	}
	if old != nil {
		s.dead = append(s.dead, old)
	}
	e = e.WithMemo(new(store.Memo))
	s.known[key] = &handed{e, bytes.Clone(e.Value)}
	return e, nil
}

func (s *memoStore) Apply(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	s.mu.Lock()
	err := s.fail
	s.fail = nil
	s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return s.Store.Apply(ctx, changes...)
}

// conflictOnce makes the next Apply fail as if another request had won.
func (s *memoStore) conflictOnce() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = errs.New(errs.Conflict, "injected conflict")
}

// changed returns the keys whose shared values were changed by a reader.
func (s *memoStore) changed() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for h := range maps.Values(s.known) {
		s.dead = append(s.dead, h)
	}
	for _, h := range s.dead {
		if !bytes.Equal(h.entry.Value, h.value) {
			keys = append(keys, h.entry.Key)
		}
	}
	return keys
}
