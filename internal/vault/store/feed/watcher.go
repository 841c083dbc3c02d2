package feed

import (
	"context"
	"strings"
	"sync"

	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// watcher is one running watch. Its goroutine is owned by the Feed and the
// caller together: whichever ends it first waits for it.
type watcher struct {
	feed   *Feed
	prefix string
	cursor store.Revision // of the last event looked at; guarded by feed.mu
	epoch  uint64         // feed.lost when the watch began
	pulses uint64         // feed.pulses when the last sign of life was given; guarded by feed.mu
	events chan store.Event
	wake   chan struct{} // holds one token if there may be news
	stop   chan struct{}
	done   chan struct{}

	mu    sync.Mutex
	ended bool
	err   error
}

func (w *watcher) run(ctx context.Context) {
	defer close(w.done)
	defer close(w.events)
	defer w.feed.forget(w)
	for {
		select {
		case <-w.wake:
		case <-w.stop:
			return
		case <-ctx.Done():
			w.finish(nil)
			return
		}
		if !w.drain(ctx) {
			return
		}
	}
}

// drain delivers what there is; false means that the watch is over.
func (w *watcher) drain(ctx context.Context) bool {
	for {
		e, ok, err := w.feed.next(w)
		if err != nil {
			w.finish(err)
			return false
		}
		if !ok {
			return true
		}
		select {
		case w.events <- e:
		case <-w.stop:
			return false
		case <-ctx.Done():
			w.finish(nil)
			return false
		}
	}
}

func (w *watcher) poke() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// finish records why the watch ends; only the first reason counts.
func (w *watcher) finish(err error) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return false
	}
	w.ended, w.err = true, err
	return true
}

func (w *watcher) end(err error) {
	if w.finish(err) {
		close(w.stop)
	}
	<-w.done
}

func (w *watcher) Events() <-chan store.Event { return w.events }

// Err answers nil until the watch has ended.
func (w *watcher) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

func (w *watcher) Close() { w.end(nil) }

// filter cuts e to the changes below prefix. The changes are shared when all
// of them are.
func filter(e store.Event, prefix string) (store.Event, bool) {
	match := 0
	for i := range e.Changes {
		if strings.HasPrefix(e.Changes[i].Key, prefix) {
			match++
		}
	}
	if match == len(e.Changes) || match == 0 {
		return e, match > 0
	}
	cut := make([]store.Change, 0, match)
	for i := range e.Changes {
		if strings.HasPrefix(e.Changes[i].Key, prefix) {
			cut = append(cut, e.Changes[i])
		}
	}
	return store.Event{Revision: e.Revision, Changes: cut}, true
}
