package relay

import (
	"context"
	"errors"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// server is what a Router asks of the node's own etcd.
type server interface {
	LeaderChangedNotify() <-chan struct{}
	LinearizableReadNotify(ctx context.Context) error
}

// era is the time between two elections. Writes are of the one in which they began.
type era struct {
	ended context.Context
	end   context.CancelFunc
}

func newEra() *era {
	e := &era{}
	e.ended, e.end = context.WithCancel(context.Background())
	return e
}

// answerFor is how long a write that reached the new leader has for its answer, once the own
// member has applied all that the old one left behind.
const answerFor = 300 * time.Millisecond

// errElected is for a write that was sent to a leader that is gone. A linearizable read behind the
// election shows that it was not made so far; but the old leader may live, cut off, and pass it on when it
// meets the new one. So nobody can know, now or later.
var errElected = errs.New(errs.Unavailable, "another member leads now: whether the write was made is not known")

// within has a write end with the era in which it begins.
func (r *Router) within(ctx context.Context, write func(context.Context) error) error {
	r.mu.Lock()
	now := r.era
	r.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(now.ended, func() { cancel(errElected) })()
	err := write(ctx)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errElected) {
		return cause
	}
	return err
}

// elections ends the writes of an era when the next leader has been followed: nobody would answer
// them, until etcd gives them up after seconds.
func (r *Router) elections(s server) {
	for changed := s.LeaderChangedNotify(); ; {
		select {
		case <-changed:
		case <-r.ctx.Done():
			return
		}
		changed = s.LeaderChangedNotify()
		r.mu.Lock()
		old := r.era
		r.era = newEra()
		r.mu.Unlock()
		for r.ctx.Err() == nil && !followed(r.ctx, s) {
			pause(r.ctx, searchWait)
		}
		pause(r.ctx, answerFor)
		old.end()
	}
}

// followed reports whether the own member has applied what a majority says is committed.
func followed(ctx context.Context, s server) bool {
	ctx, cancel := context.WithTimeout(ctx, searchFor)
	defer cancel()
	return s.LinearizableReadNotify(ctx) == nil
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
