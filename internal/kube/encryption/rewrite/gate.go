package rewrite

import (
	"context"
	"sync"
	"time"
)

// gate keeps all requests back until a time that the API server asked for.
type gate struct {
	mu    sync.Mutex
	until time.Time // guarded by mu
}

func (g *gate) hold(until time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if until.After(g.until) {
		g.until = until
	}
}

// pass waits until it is open.
func (g *gate) pass(ctx context.Context, now time.Time) error {
	g.mu.Lock()
	left := g.until.Sub(now)
	g.mu.Unlock()
	return pause(ctx, left)
}

// pause waits, or returns ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
