package audit

import (
	"context"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Ticket is a line's place in the queues of all required devices. The zero
// Ticket is of a line that nothing has to be waited for: Wait returns nil at once.
// A Ticket is a small value; it may be copied and waited for more than once.
type Ticket struct {
	first *group   // nil = none
	more  []*group // those of further devices, and of the line it came after where that went elsewhere
	err   error    // the line was refused when it was appended
}

// Wait returns nil once the line is durable on every required device that was
// enabled when it was appended, and an error of kind Unavailable, which the
// client should see, when it is lost on one or ctx ends before; that ctx has
// ended is noticed once a device takes longer than patience. After an error
// the request must be refused, though its line may still have been written.
func (t Ticket) Wait(ctx context.Context) error {
	if t.err != nil || t.first == nil {
		return t.err
	}
	for _, g := range t.more {
		g.sink.kick()
	}
	if err := t.first.wait(ctx); err != nil {
		return err
	}
	for _, g := range t.more {
		if err := g.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (t *Ticket) add(g *group) {
	if t.first == nil {
		t.first = g
		return
	}
	t.more = append(t.more, g)
}

// of returns the ticket's group on s, nil if it has none.
func (t *Ticket) of(s *sink) *group {
	if t.first != nil && t.first.sink == s {
		return t.first
	}
	for _, g := range t.more {
		if g.sink == s {
			return g
		}
	}
	return nil
}

func (g *group) wait(ctx context.Context) error {
	select {
	case <-g.done:
		return g.err
	default:
	}
	g.sink.kick()
	began := time.Now()
	defer func() { g.sink.waits.Add(time.Since(began)) }()
	<-g.stir
	select {
	case <-g.done:
		return g.err
	default:
	}
	select {
	case <-g.done:
		return g.err
	case <-ctx.Done():
		return errs.Newf(errs.Unavailable, "waiting for %s: %w", g.sink.describe(), ctx.Err())
	}
}
