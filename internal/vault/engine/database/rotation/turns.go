package rotation

import (
	"context"
	"sync"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// turns lets one at a time change the password of a subject in its database. Of
// two who set the password of one change, the slower could otherwise set it once
// more after a third has changed it again, and nobody would know it any more.
type turns struct {
	mu   sync.Mutex
	held map[Subject]*turn
}

type turn struct {
	free  chan struct{} // capacity 1: holds a value while nobody has the turn
	users int           // who have or want it
}

// take waits for the turn of s; the caller calls release when done. Kind
// Unavailable: ctx ended before.
func (t *turns) take(ctx context.Context, s Subject) (release func(), err error) {
	t.mu.Lock()
	if t.held == nil {
		t.held = map[Subject]*turn{}
	}
	mine := t.held[s]
	if mine == nil {
		mine = &turn{free: make(chan struct{}, 1)}
		mine.free <- struct{}{}
		t.held[s] = mine
	}
	mine.users++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if mine.users--; mine.users == 0 {
			delete(t.held, s)
		}
	}
	select {
	case <-mine.free:
		return func() { mine.free <- struct{}{}; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, errs.Newf(errs.Unavailable, "waiting for another change of the same password: %w", ctx.Err())
	}
}
