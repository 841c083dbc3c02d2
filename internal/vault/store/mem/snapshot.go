package mem

import (
	"context"

	"github.com/strongkeep/strongkeep/internal/vault/store"
)

var _ store.Snapshotter = (*Store)(nil)

// Snapshot implements store.Snapshotter.
func (s *Store) Snapshot(ctx context.Context) (store.Snapshot, error) {
	now, err := s.now(ctx)
	if err != nil {
		return nil, err
	}
	return &snapshot{store: s, state: now}, nil
}

type snapshot struct {
	store *Store
	state *state
	next  string // no entry before it is left
}

// Revision implements store.Snapshot.
func (s *snapshot) Revision() store.Revision { return s.state.rev }

// Next implements store.Snapshot.
func (s *snapshot) Next(ctx context.Context) (found store.Entry, _ error) {
	if _, err := s.store.now(ctx); err != nil {
		return store.Entry{}, err
	}
	s.state.tree.AscendGreaterOrEqual(store.Entry{Key: s.next}, func(e store.Entry) bool {
		found, s.next = e, e.Key+"\x00"
		return false
	})
	return found, nil
}

// Close implements store.Snapshot.
func (s *snapshot) Close() error { return nil }
