package index

import (
	"context"
	"sync/atomic"

	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Shown is a store that knows how new what it has shown is.
type Shown struct {
	store.Store
	highest atomic.Uint64
	// Names come without the revision at which they were there: lists counts the answers, covered how many
	// of them highest is known to be newer than.
	lists, covered atomic.Uint64
}

func (s *Shown) note(rev store.Revision) { raise(&s.highest, uint64(rev)) }

// raise makes v at least n.
func raise(v *atomic.Uint64, n uint64) {
	for old := v.Load(); n > old; old = v.Load() {
		if v.CompareAndSwap(old, n) {
			return
		}
	}
}

// coverLists makes highest at least as new as all names that were listed.
func (s *Shown) coverLists(ctx context.Context) error {
	lists := s.lists.Load()
	if lists <= s.covered.Load() {
		return nil
	}
	if _, err := s.Apply(ctx); err != nil {
		return err
	}
	raise(&s.covered, lists)
	return nil
}

// Get implements store.Store. An entry that is there says how new it is; of one that is not only the
// store knows, in which others may have written since.
func (s *Shown) Get(ctx context.Context, key string) (store.Entry, error) {
	e, err := s.Store.Get(ctx, key)
	if e.Exists() {
		s.note(e.Revision)
	} else {
		s.note(e.AsOf)
	}
	return e, err
}

// List implements store.Store.
func (s *Shown) List(ctx context.Context, folder, after string, limit int) ([]string, error) {
	names, err := s.Store.List(ctx, folder, after, limit)
	s.lists.Add(1)
	return names, err
}

// Apply implements store.Store.
func (s *Shown) Apply(ctx context.Context, changes ...store.Change) (store.Revision, error) {
	rev, err := s.Store.Apply(ctx, changes...)
	s.note(rev)
	return rev, err
}
