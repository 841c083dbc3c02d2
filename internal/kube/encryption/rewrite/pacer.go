package rewrite

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	probeEvery   = 50 * time.Millisecond
	windowLength = time.Second
	// probeTimeout bounds a probe. One that takes longer tells that it is too much.
	probeTimeout = 10 * time.Second
)

// pacer keeps the gentle pace: a goroutine of its own probes the API server and sets
// the rate by it.
type pacer struct {
	probe   func(context.Context) error
	limiter *rate.Limiter // lets one object through at a time, so that they are not begun in bursts
	rest    gate
	stop    func() // ends the goroutine and waits for it

	mu     sync.Mutex
	window window // guarded by mu; the one that goes on

	pace pace // of the goroutine
}

// startPacer learns what the probe takes, for the length of a window, and starts the
// goroutine.
func startPacer(ctx context.Context, probe func(context.Context) error) (*pacer, error) {
	p := &pacer{probe: probe, limiter: rate.NewLimiter(firstRate, 1), pace: pace{rate: firstRate}}
	_ = probe(ctx) // what it takes to connect is of no interest
	p.watch(ctx)
	p.pace.learn(p.take(windowLength))
	inner, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	p.stop = func() { cancel(); <-done }
	go func() {
		defer close(done)
		p.run(inner)
	}()
	return p, ctx.Err()
}

// begin waits until an object may be begun.
func (p *pacer) begin(ctx context.Context) error {
	if p == nil {
		return ctx.Err()
	}
	if err := p.rest.pass(ctx, time.Now()); err != nil {
		return err
	}
	if err := p.limiter.Wait(ctx); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.window.begun++
	return nil
}

// hindered counts an answer that says that it is too much.
func (p *pacer) hindered() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.window.refused++
}

func (p *pacer) run(ctx context.Context) {
	for ctx.Err() == nil {
		took := p.watch(ctx)
		rest := p.pace.next(p.take(took))
		p.limiter.SetLimit(rate.Limit(p.pace.rate))
		if !rest || ctx.Err() != nil {
			continue
		}
		// What was begun may take a moment to end; and the API server's memory, to be swept.
		p.rest.hold(time.Now().Add(windowLength + windowLength/4))
		if pause(ctx, windowLength/4) != nil {
			return
		}
		p.take(0)
		p.pace.learn(p.take(p.watch(ctx)))
	}
}

// watch probes for the length of a window, and returns how long that took.
func (p *pacer) watch(ctx context.Context) time.Duration {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	began := time.Now()
	for time.Since(began) < windowLength {
		select {
		case <-ctx.Done():
			return time.Since(began)
		case <-tick.C:
			p.ask(ctx)
		}
	}
	return time.Since(began)
}

func (p *pacer) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	began := time.Now()
	err := p.probe(ctx)
	took := time.Since(began)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil && passing(err) {
		p.window.refused++
		return
	}
	p.window.probes = append(p.window.probes, took)
}

// take ends a window.
func (p *pacer) take(length time.Duration) window {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.window
	w.length = length
	p.window = window{}
	return w
}
