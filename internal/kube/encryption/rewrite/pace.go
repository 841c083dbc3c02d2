package rewrite

import (
	"context"
	"slices"
	"sync"
	"time"
)

// slack is how much slower the API server may answer than it did when it had little
// to do for us: others wait as long as we do.
const slack = 2

// pace decides how many requests are made at once, by how the API server answered
// those of the last page. The zero width is not allowed.
type pace struct {
	width, most int
	base        time.Duration // the shortest median of a page so far
}

// sample is how a page went.
type sample struct {
	took []time.Duration // of answered requests
	// refused counts answers that say that it is too much: 429, and what ended early.
	refused int
}

// next takes a page into account: fewer at once when the API server refuses or gets
// slow, one more otherwise.
func (p *pace) next(s sample) {
	if s.refused > 0 {
		p.width = max(1, p.width/2)
		return
	}
	if len(s.took) == 0 {
		return
	}
	slices.Sort(s.took)
	median := s.took[len(s.took)/2]
	if p.base == 0 || median < p.base {
		p.base = median
	}
	switch {
	case median > slack*p.base:
		p.width = max(1, p.width-1)
	case p.width < p.most:
		p.width++
	}
}

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
