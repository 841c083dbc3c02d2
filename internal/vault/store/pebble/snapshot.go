package pebble

import (
	"context"

	"github.com/cockroachdb/pebble/v2"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

var _ store.Snapshotter = (*Store)(nil)

// Snapshot implements store.Snapshotter: it is the newest view, held. Close of the
// Store waits for it.
func (s *Store) Snapshot(ctx context.Context) (store.Snapshot, error) {
	now, err := s.now(ctx)
	if err != nil {
		return nil, err
	}
	it, err := now.snap.NewIter(&pebble.IterOptions{LowerBound: []byte{dataPrefix}, UpperBound: []byte{dataEnd}})
	if err != nil {
		s.views.release(now)
		return nil, failure("reading the store", err)
	}
	return &snapshot{views: s.views, view: now, rev: now.rev, it: it}, nil
}

type snapshot struct {
	views *views
	view  *view // nil = closed
	it    *pebble.Iterator
	begun bool
	rev   store.Revision
}

// Revision implements store.Snapshot.
func (s *snapshot) Revision() store.Revision { return s.rev }

// Next implements store.Snapshot.
func (s *snapshot) Next(ctx context.Context) (store.Entry, error) {
	if err := ctx.Err(); err != nil {
		return store.Entry{}, errs.Newf(errs.Unavailable, "reading the store: %w", err)
	}
	if s.view == nil {
		return store.Entry{}, errClosed()
	}
	step := s.it.Next
	if !s.begun {
		s.begun, step = true, s.it.First
	}
	if !step() {
		return store.Entry{}, failure("reading the store", s.it.Error())
	}
	stored, err := s.it.ValueAndErr()
	if err != nil {
		return store.Entry{}, failure("reading the store", err)
	}
	rev, value, err := split(stored)
	return store.Entry{Key: string(s.it.Key()[1:]), Value: value, Revision: rev}, err
}

// Close implements store.Snapshot.
func (s *snapshot) Close() error {
	if s.view == nil {
		return nil
	}
	err := failure("reading the store", s.it.Close())
	s.views.release(s.view)
	s.view = nil
	return err
}
