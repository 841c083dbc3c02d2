package events

import (
	"context"
	"sync"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Why a subscription ended, as Next returns it. Compare with errors.Is.
var (
	// ErrLost: the subscriber read too slowly and missed events. Subscribe
	// again, then read the present state.
	ErrLost = errs.New(errs.Exhausted, "events were lost because they were read too slowly; subscribe again and read the present state")
	// ErrClosed: Close was called on the subscription or its Bus.
	ErrClosed = errs.New(errs.Unavailable, "the event subscription is closed; subscribe again later")
)

// Subscription is one subscriber's queue. Next is for one goroutine at a time;
// Close may be called by any.
type Subscription struct {
	bus       *Bus
	pattern   pattern
	namespace string
	queue     chan *Message

	once  sync.Once
	ended chan struct{}
	why   error // written before ended is closed
}

// Next waits for the next event. It returns ErrLost or ErrClosed for good once
// the subscription has ended; what was still queued is dropped then, as the
// state has to be read anew anyway. If ctx ends first, it returns ctx's error
// and nothing is lost.
func (s *Subscription) Next(ctx context.Context) (*Message, error) {
	select {
	case <-s.ended:
		return nil, s.why
	default:
	}
	select {
	case m := <-s.queue:
		return m, nil
	case <-s.ended:
		return nil, s.why
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close ends the subscription. It may be called twice.
func (s *Subscription) Close() {
	s.end(ErrClosed)
	s.bus.remove(s)
}

// end records why and wakes Next. The first reason stays.
func (s *Subscription) end(why error) {
	s.once.Do(func() {
		s.why = why
		close(s.ended)
	})
}

// offer queues m if it fits the subscription, and reports false if there was
// no room. It never blocks.
func (s *Subscription) offer(m *Message) bool {
	if s.namespace != m.Namespace || !s.pattern.match(m.Type) {
		return true
	}
	select {
	case s.queue <- m:
		return true
	default:
		return false
	}
}
