package keepsake

import (
	"context"
	"errors"
	"sync"
	"time"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/stores"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// Reading reads through a backend, and keeps what was read.
type Reading struct {
	stores.Backend
	Keeper *Keeper
}

// Read implements stores.Backend.
func (r Reading) Read(ctx context.Context, store v1.Store, req provider.Request) (provider.Value, error) {
	v, err := r.Backend.Read(ctx, store, req)
	switch {
	case err == nil:
		r.Keeper.Keep(store, req, v)
	case errs.Is(err, errs.NotExist):
		r.Keeper.Gone(store, req)
	}
	return v, err
}

// StandIn reads through a backend, and last values where a store is away.
type StandIn struct {
	stores.Backend
	Keeper *Keeper

	mu     sync.Mutex
	oldest time.Time
}

// Read implements stores.Backend.
func (s *StandIn) Read(ctx context.Context, store v1.Store, req provider.Request) (provider.Value, error) {
	v, err := s.Backend.Read(ctx, store, req)
	if !Away(err) {
		return v, err
	}
	last, at, none := s.Keeper.Last(ctx, store, req)
	if none != nil {
		return v, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.oldest.IsZero() || at.Before(s.oldest) {
		s.oldest = at
	}
	return last, nil
}

// Oldest is when the oldest of the last values was read that were given; zero: none was.
func (s *StandIn) Oldest() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.oldest
}

// Away reports whether err says nothing of what the store has, nor of who may read it,
// and is the store's: a credential that is not there is no outage.
func Away(err error) bool {
	switch {
	case err == nil || errors.Is(err, provider.ErrReference):
		return false
	case errs.Is(err, errs.Unavailable), errs.Is(err, errs.Sealed), errs.Is(err, errs.Exhausted):
		return true
	}
	return false
}
