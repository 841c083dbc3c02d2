package rotation

import (
	"context"
	"sync"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Turns lets one at a time change the passwords of a subject K in its database. Of
// two who set the password of one change, the slower could otherwise set it once
// more after a third has changed it again, and nobody would know it any more. The
// zero value is ready.
type Turns[K comparable] struct {
	mu   sync.Mutex
	held map[K]*turn
}

type turn struct {
	free  chan struct{} // capacity 1: holds a value while nobody has the turn
	users int           // who have or want it
}

// Take waits for the turn of k; the caller calls release when done. Kind
// Unavailable: ctx ended before.
func (t *Turns[K]) Take(ctx context.Context, k K) (release func(), err error) {
	t.mu.Lock()
	if t.held == nil {
		t.held = map[K]*turn{}
	}
	mine := t.held[k]
	if mine == nil {
		mine = &turn{free: make(chan struct{}, 1)}
		mine.free <- struct{}{}
		t.held[k] = mine
	}
	mine.users++
	t.mu.Unlock()
	leave := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if mine.users--; mine.users == 0 {
			delete(t.held, k)
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
