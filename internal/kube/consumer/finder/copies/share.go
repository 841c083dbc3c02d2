package copies

import (
	"context"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Age is for how long a census is believed.
const Age = time.Minute

// Share lets all who look for copies at about the same time do so in one census:
// what it costs does not grow with them. It is for one site, and safe for concurrent
// use.
type Share struct {
	turn chan struct{} // of capacity 1: who takes a census

	mu   sync.Mutex
	last *Census
}

// NewShare returns a Share.
func NewShare() *Share { return &Share{turn: make(chan struct{}, 1)} }

// Of returns a census that sees values: one that is young enough, or a new one. Its
// errors are those of Take.
func (s *Share) Of(ctx context.Context, site Site, values Values, now func() time.Time) (*Census, error) {
	if c := s.young(values, now()); c != nil {
		return c, nil
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, errs.Newf(errs.Unavailable, "waiting for who reads all Secrets: %w", ctx.Err())
	}
	if c := s.young(values, now()); c != nil { // somebody has taken one meanwhile
		return c, nil
	}
	c, err := Take(ctx, site, now())
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = c
	return c, nil
}

// young returns the last census if it will do. One that is too old is let go.
func (s *Share) young(values Values, now time.Time) *Census {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return nil
	}
	if age := now.Sub(s.last.taken); age < 0 || age >= Age {
		s.last = nil
		return nil
	}
	if len(s.last.Unknown) == 0 && !s.last.sees(values) {
		return nil
	}
	return s.last
}

// Drop lets go of what is too old.
func (s *Share) Drop(now time.Time) { s.young(nil, now) }
