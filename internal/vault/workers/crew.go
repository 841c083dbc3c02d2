package workers

import (
	"context"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
)

// Pauses after Work failed.
const (
	minPause = time.Second
	maxPause = 10 * time.Minute
)

// Crew is the workers of one vault, at most one for each mount. Its methods are
// safe for concurrent use; Work must not call any but Wake.
type Crew struct {
	now func() time.Time

	mu      sync.Mutex
	closed  bool
	held    bool               // none is started
	running map[string]*worker // by mount ID
}

// New returns a crew that nobody works in yet.
func New(now func() time.Time) *Crew {
	return &Crew{now: now, running: map[string]*worker{}}
}

// Sync starts the workers of those mounts that have none. Each ends with ctx at
// the latest. Held or closed, it does nothing.
func (c *Crew) Sync(ctx context.Context, mounts []*mount.Mount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.held {
		return
	}
	for _, m := range mounts {
		busy, ok := m.Engine.(engine.Worker)
		if !ok || c.running[m.ID] != nil {
			continue
		}
		ctx, stop := context.WithCancel(ctx)
		one := &worker{Worker: busy, log: m.Log, now: c.now, woken: make(chan struct{}, 1), stop: stop, done: make(chan struct{})}
		c.running[m.ID] = one
		go one.run(ctx)
	}
}

// Wake has the worker of the mount with this ID work now, or once more if it is
// at it. It never waits; without such a worker it does nothing.
func (c *Crew) Wake(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if one := c.running[id]; one != nil {
		select {
		case one.woken <- struct{}{}:
		default: // woken already
		}
	}
}

// End stops the worker of one mount and waits for it.
func (c *Crew) End(id string) {
	c.mu.Lock()
	one := c.running[id]
	delete(c.running, id)
	c.mu.Unlock()
	if one != nil {
		one.stop()
		<-one.done
	}
}

// Hold stops all workers, waits for them and lets none start; Hold(false) lets
// them start again, at the next Sync.
func (c *Crew) Hold(held bool) {
	c.mu.Lock()
	c.held = held
	c.mu.Unlock()
	if held {
		c.endAll()
	}
}

// Close stops all workers, waits for them and lets none start any more.
func (c *Crew) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.endAll()
}

func (c *Crew) endAll() {
	c.mu.Lock()
	ids := make([]string, 0, len(c.running))
	for id := range c.running {
		ids = append(ids, id)
	}
	c.mu.Unlock()
	for _, id := range ids {
		c.End(id)
	}
}
