package mem

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/google/btree"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
	"github.com/strongkeep/strongkeep/internal/vault/store/feed"
)

// Config is what a Store can be told. The zero Config is fine.
type Config struct {
	History feed.Config // what watches can go back to
}

// Store implements store.Store.
type Store struct {
	feed  *feed.Feed
	state atomic.Pointer[state] // nil after Close

	mu sync.Mutex // held by writers and Close
}

var _ store.Store = (*Store)(nil)

// state is the store at one moment; it is never changed once published.
type state struct {
	tree *btree.BTreeG[store.Entry]
	rev  store.Revision
}

// degree of the tree: nodes of up to 63 entries, 3.5 KiB.
const degree = 32

// New returns an empty store.
func New(cfg Config) *Store {
	s := &Store{feed: feed.New(cfg.History, 0)}
	less := func(a, b store.Entry) bool { return a.Key < b.Key }
	s.state.Store(&state{tree: btree.NewG(degree, less)})
	return s
}

// Get implements store.Store.
func (s *Store) Get(ctx context.Context, key string) (store.Entry, error) {
	now, err := s.now(ctx)
	if err != nil {
		return store.Entry{}, err
	}
	if e, ok := now.tree.Get(store.Entry{Key: key}); ok {
		return e, nil
	}
	return store.Entry{Key: key}, nil
}

// List implements store.Store.
func (s *Store) List(ctx context.Context, folder, after string, limit int) ([]string, error) {
	now, err := s.now(ctx)
	if err != nil {
		return nil, err
	}
	if err := store.CheckFolder(folder); err != nil {
		return nil, err
	}
	var names []string
	for next := folder + after; ; {
		name := now.nameFrom(folder, next)
		if name == "" {
			return names, nil
		}
		if name > after {
			names = append(names, name)
		}
		if limit > 0 && len(names) == limit {
			return names, nil
		}
		next = behind(folder + name)
	}
}

// nameFrom returns the name in folder of the first key that is not before
// next, "" if there is none.
func (now *state) nameFrom(folder, next string) (name string) {
	now.tree.AscendGreaterOrEqual(store.Entry{Key: next}, func(e store.Entry) bool {
		if rest, ok := strings.CutPrefix(e.Key, folder); ok {
			name = rest
			if i := strings.IndexByte(rest, '/'); i >= 0 {
				name = rest[:i+1]
			}
		}
		return false
	})
	return name
}

// behind returns the first key that can follow name: for a folder that is
// behind all it holds, since '0' follows '/'.
func behind(name string) string {
	if folder, ok := strings.CutSuffix(name, "/"); ok {
		return folder + "0"
	}
	return name + "\x00"
}

// Apply implements store.Store.
func (s *Store) Apply(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	if err := store.Validate(changes); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now, err := s.now(ctx)
	if err != nil {
		return 0, err
	}
	writes, err := now.check(changes)
	if err != nil {
		return 0, err
	}
	if !writes {
		return now.rev, nil
	}
	next := &state{tree: now.tree.Clone(), rev: now.rev + 1}
	for i := range changes {
		switch c := &changes[i]; c.Op {
		case store.OpPut:
			next.tree.ReplaceOrInsert(store.Entry{Key: strings.Clone(c.Key), Value: c.Value, Revision: next.rev})
		case store.OpDelete:
			next.tree.Delete(store.Entry{Key: c.Key})
		}
	}
	s.state.Store(next)
	s.feed.Publish(feed.Event(next.rev, changes))
	return next.rev, nil
}

// check holds the guards against the state and reports whether anything is to be written.
func (now *state) check(changes []store.Change) (writes bool, err error) {
	for i := range changes {
		c := &changes[i]
		writes = writes || c.Op != store.OpCheck
		if !c.Guarded {
			continue
		}
		if e, _ := now.tree.Get(store.Entry{Key: c.Key}); e.Revision != c.Expect {
			return false, errs.New(errs.Conflict, "an entry changed since it was read; read it again and retry")
		}
	}
	return writes, nil
}

// Watch implements store.Store.
func (s *Store) Watch(ctx context.Context, prefix string, from store.Revision) (store.Watcher, error) {
	if _, err := s.now(ctx); err != nil {
		return nil, err
	}
	return s.feed.Watch(ctx, prefix, from)
}

// Close implements store.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	s.state.Store(nil)
	s.mu.Unlock()
	s.feed.Close()
	return nil
}

func (s *Store) now(ctx context.Context) (*state, error) {
	if err := ctx.Err(); err != nil {
		return nil, errs.Newf(errs.Unavailable, "asking the store: %w", err)
	}
	now := s.state.Load()
	if now == nil {
		return nil, errs.New(errs.Unavailable, "the store is closed")
	}
	return now, nil
}
