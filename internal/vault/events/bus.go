package events

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Config is what a Bus needs.
type Config struct {
	// Source is the CloudEvents source, "strongkeep://" and the cluster's ID.
	Source string
	// Queue is how many events may wait to be handed to subscribers; 0 = 4096.
	// More than that and every subscription ends with ErrLost.
	Queue int
}

// Bus hands events to subscriptions. Its methods are safe for concurrent use.
//
// Publish only puts the event into the bus's queue; one goroutine hands it on,
// so that a write does not pay for the number of subscribers.
type Bus struct {
	source   string
	queue    chan *Message
	overflow atomic.Bool   // events were dropped from queue
	poke     chan struct{} // capacity 1: look at overflow
	stop     chan struct{}
	stopped  chan struct{}
	subs     atomic.Pointer[[]*Subscription] // never changed, only replaced

	mu     sync.Mutex // guards replacing subs, and closed
	closed bool
}

// NewBus returns a running Bus. Close ends it.
func NewBus(cfg Config) *Bus {
	if cfg.Queue == 0 {
		cfg.Queue = 4096
	}
	b := &Bus{
		source:  cfg.Source,
		queue:   make(chan *Message, cfg.Queue),
		poke:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
	b.subs.Store(new([]*Subscription))
	go b.run()
	return b
}

// Publish has e handed to every subscription it fits, in the order of the
// calls. It never blocks. e.Metadata must not be changed afterwards. Callers
// that commit concurrently may publish in another order than that of the
// revisions: an event says that there is something to look at, not what was
// before it.
func (b *Bus) Publish(e Event) {
	if len(*b.subs.Load()) == 0 {
		return
	}
	select {
	case b.queue <- &Message{Event: e, source: b.source}:
	default:
		b.Lose()
	}
}

// Lose has all subscriptions told that they have missed events.
func (b *Bus) Lose() {
	b.overflow.Store(true)
	select {
	case b.poke <- struct{}{}:
	default:
	}
}

// Subscribe returns a subscription for events of the types that glob stands
// for ("*" for any text: "kv-v2/*", "kv*/data-*") in exactly the namespace ns
// ("" is the root; namespaces below are not included). Every event published
// after Subscribe returned is delivered, or Next returns ErrLost. buffer is how
// many events may wait for the subscriber, at least 1. Whether the subscriber
// may know of an event is the caller's to check, for each by its Path.
// Errors: Invalid for a bad pattern or buffer, Unavailable after Close.
func (b *Bus) Subscribe(glob, ns string, buffer int) (*Subscription, error) {
	p, err := compile(glob)
	if err != nil {
		return nil, err
	}
	if buffer < 1 {
		return nil, errs.Newf(errs.Invalid, "a subscription needs room for at least one event, not %d", buffer)
	}
	s := &Subscription{bus: b, pattern: p, namespace: ns, queue: make(chan *Message, buffer), ended: make(chan struct{})}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, ErrClosed
	}
	next := append(slices.Clone(*b.subs.Load()), s)
	b.subs.Store(&next)
	return s, nil
}

// Subscriptions returns how many there are.
func (b *Bus) Subscriptions() int { return len(*b.subs.Load()) }

// Close ends all subscriptions with ErrClosed and waits until nothing runs any
// more. Events that are published later go nowhere. It may be called twice.
func (b *Bus) Close() {
	b.mu.Lock()
	was := b.closed
	b.closed = true
	subs := *b.subs.Swap(new([]*Subscription))
	b.mu.Unlock()
	if !was {
		close(b.stop)
	}
	for _, s := range subs {
		s.end(ErrClosed)
	}
	<-b.stopped
}

func (b *Bus) run() {
	defer close(b.stopped)
	for {
		select {
		case m := <-b.queue:
			b.hand(m)
		case <-b.poke:
		case <-b.stop:
			return
		}
		if b.overflow.Swap(false) {
			b.lose(*b.subs.Load())
		}
	}
}

// hand offers m to every subscription and ends those that have no room.
func (b *Bus) hand(m *Message) {
	var slow []*Subscription
	for _, s := range *b.subs.Load() {
		if !s.offer(m) {
			slow = append(slow, s)
		}
	}
	b.lose(slow)
}

// lose ends subscriptions that missed an event.
func (b *Bus) lose(subs []*Subscription) {
	for _, s := range subs {
		s.end(ErrLost)
	}
	if len(subs) > 0 {
		b.remove(subs...)
	}
}

func (b *Bus) remove(gone ...*Subscription) {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := slices.DeleteFunc(slices.Clone(*b.subs.Load()), func(s *Subscription) bool { return slices.Contains(gone, s) })
	b.subs.Store(&next)
}
