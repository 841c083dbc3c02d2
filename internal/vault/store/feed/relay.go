package feed

import (
	"context"
	"sync"

	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Relay runs the watches of a decorator: each passes on the events of a watch
// of the inner store. The zero Relay is ready.
type Relay struct {
	mu      sync.Mutex
	running map[*relayed]struct{}
	closed  bool
}

// Step looks at an event before it is passed on and may replace it. It may
// block until ctx ends. ok is false for an event that is not to be passed on;
// an error ends the watch.
type Step func(ctx context.Context, e store.Event) (out store.Event, ok bool, err error)

// Forward returns a watch that passes on what step makes of inner's events,
// and owns inner. It lasts as long as inner, ctx and the Relay do.
func (r *Relay) Forward(ctx context.Context, inner store.Watcher, step Step) (store.Watcher, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		inner.Close()
		return nil, errClosed()
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &relayed{
		relay: r, inner: inner, cancel: cancel,
		events: make(chan store.Event, buffered), inject: make(chan store.Event), done: make(chan struct{}),
	}
	if r.running == nil {
		r.running = map[*relayed]struct{}{}
	}
	r.running[w] = struct{}{}
	go w.run(ctx, step)
	return w, nil
}

// End ends all watches that run, with err.
func (r *Relay) End(err error) {
	for _, w := range r.now() {
		w.end(err)
	}
}

// Send passes e to every watch that runs, as if it came from the inner store.
// It returns when they have taken it or ended.
func (r *Relay) Send(e store.Event) {
	for _, w := range r.now() {
		select {
		case w.inject <- e:
		case <-w.done:
		}
	}
}

func (r *Relay) now() []*relayed {
	r.mu.Lock()
	defer r.mu.Unlock()
	running := make([]*relayed, 0, len(r.running))
	for w := range r.running {
		running = append(running, w)
	}
	return running
}

// Close ends all watches and waits for them. No more can be started.
func (r *Relay) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.End(errClosed())
}

// relayed is one running watch of a Relay.
type relayed struct {
	relay  *Relay
	inner  store.Watcher
	cancel context.CancelFunc
	events chan store.Event
	inject chan store.Event
	done   chan struct{}

	mu    sync.Mutex
	ended bool
	err   error
}

func (w *relayed) run(ctx context.Context, step Step) {
	defer close(w.done)
	defer close(w.events)
	defer w.forget()
	defer w.cancel()
	defer w.inner.Close()
	for {
		select {
		case e, ok := <-w.inner.Events():
			if !ok {
				w.finish(w.inner.Err())
				return
			}
			if !w.pass(ctx, step, e) {
				return
			}
		case e := <-w.inject:
			if !w.pass(ctx, step, e) {
				return
			}
		case <-ctx.Done():
			w.finish(nil)
			return
		}
	}
}

// pass passes one event on; false means that the watch is over.
func (w *relayed) pass(ctx context.Context, step Step, e store.Event) bool {
	e, ok, err := step(ctx, e)
	switch {
	case ctx.Err() != nil:
		w.finish(nil)
		return false
	case err != nil:
		w.finish(err)
		return false
	case !ok:
		return true
	}
	select {
	case w.events <- e:
		return true
	case <-ctx.Done():
		w.finish(nil)
		return false
	}
}

func (w *relayed) forget() {
	w.relay.mu.Lock()
	defer w.relay.mu.Unlock()
	delete(w.relay.running, w)
}

// finish records why the watch ends; only the first reason counts.
func (w *relayed) finish(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended {
		w.ended, w.err = true, err
	}
}

func (w *relayed) end(err error) {
	w.finish(err)
	w.cancel()
	<-w.done
}

func (w *relayed) Events() <-chan store.Event { return w.events }

func (w *relayed) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *relayed) Close() { w.end(nil) }
