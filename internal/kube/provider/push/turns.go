package push

import (
	"context"
	"sync"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Turns lets writes of one secret be made one after the other, for services that
// cannot write on condition: what crosses within an operator need not be put right.
// The zero Turns is ready, and safe for concurrent use.
type Turns struct {
	mu    sync.Mutex
	turns map[string]*turn
}

type turn struct {
	free  chan struct{} // holds one element while nobody writes
	users int           // who writes or waits
}

// Take waits until nobody else writes the secret with this name. The caller calls
// done at the end of its write; an error is Unavailable, and there is nothing to end.
func (t *Turns) Take(ctx context.Context, name string) (done func(), err error) {
	t.mu.Lock()
	if t.turns == nil {
		t.turns = map[string]*turn{}
	}
	one := t.turns[name]
	if one == nil {
		one = &turn{free: make(chan struct{}, 1)}
		one.free <- struct{}{}
		t.turns[name] = one
	}
	one.users++
	t.mu.Unlock()
	select {
	case <-one.free:
		return func() {
			one.free <- struct{}{}
			t.leave(name, one)
		}, nil
	case <-ctx.Done():
		t.leave(name, one)
		return nil, errs.Newf(errs.Unavailable, "waiting for another write of %q: %w", name, ctx.Err())
	}
}

func (t *Turns) leave(name string, one *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if one.users--; one.users == 0 {
		delete(t.turns, name)
	}
}
