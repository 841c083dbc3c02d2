package feed

import (
	"context"
	"sort"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Config bounds what is remembered. Whatever is reached first counts.
type Config struct {
	Events int // commits remembered; 0 = 8192
	Bytes  int // bytes of keys and values remembered; 0 = 8 MiB
}

// eventOverhead is what an event and a change cost besides their bytes.
const eventOverhead = 128

// buffered is how many events a watch's channel holds: enough that a reader on
// a busy machine, which runs every few milliseconds, keeps up with all commits.
const buffered = 256

// Feed is a bounded history with watchers. All methods may be called by any
// number of goroutines; those that publish must do so in order of revision.
type Feed struct {
	limits Config

	mu       sync.Mutex
	history  []store.Event // ordered by revision
	first    int           // history[:first] is forgotten
	bytes    int           // of history[first:]
	floor    store.Revision
	last     store.Revision
	lost     uint64      // counts Resets, so that a watcher notices one
	pulse    store.Event // the last sign of life
	pulses   uint64      // counts them
	watchers map[*watcher]struct{}
	closed   bool
}

// New returns a feed for a store that stands at revision at: what came before
// cannot be watched.
func New(cfg Config, at store.Revision) *Feed {
	if cfg.Events <= 0 {
		cfg.Events = 8192
	}
	if cfg.Bytes <= 0 {
		cfg.Bytes = 8 << 20
	}
	return &Feed{limits: cfg, floor: at, last: at, watchers: map[*watcher]struct{}{}}
}

// Event returns the event of a commit: the changes that write, without guards.
func Event(rev store.Revision, changes []store.Change) store.Event {
	writes := make([]store.Change, 0, len(changes))
	for i := range changes {
		if c := &changes[i]; c.Op != store.OpCheck {
			writes = append(writes, store.Change{Op: c.Op, Key: c.Key, Value: c.Value})
		}
	}
	return store.Event{Revision: rev, Changes: writes}
}

// Publish appends events, ordered and newer than all before. It never blocks.
func (f *Feed) Publish(events ...store.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range events {
		f.history = append(f.history, events[i])
		f.bytes += size(&events[i])
		f.last = events[i].Revision
	}
	f.trim()
	for w := range f.watchers {
		w.poke()
	}
}

// Pulse sends a sign of life to all watches: everything up to rev has been
// published, and all that was committed before at is not newer than rev. A watch that
// is behind gets one when it has caught up, not many.
func (f *Feed) Pulse(rev store.Revision, at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !at.After(f.pulse.At) {
		return
	}
	f.pulse = store.Event{Revision: rev, At: at}
	f.pulses++
	for w := range f.watchers {
		w.poke()
	}
}

// trim forgets the oldest events over the limits, but never the newest one.
func (f *Feed) trim() {
	for n := len(f.history) - f.first; n > 1 && (n > f.limits.Events || f.bytes > f.limits.Bytes); n-- {
		e := &f.history[f.first]
		f.floor = e.Revision
		f.bytes -= size(e)
		*e = store.Event{}
		f.first++
	}
	if f.first > 64 && f.first > len(f.history)/2 {
		n := copy(f.history, f.history[f.first:])
		clear(f.history[n:])
		f.history, f.first = f.history[:n], 0
	}
}

func size(e *store.Event) int {
	n := eventOverhead
	for i := range e.Changes {
		n += len(e.Changes[i].Key) + len(e.Changes[i].Value) + eventOverhead
	}
	return n
}

// Watch starts a watch; see store.Store.Watch.
func (f *Feed) Watch(ctx context.Context, prefix string, from store.Revision) (store.Watcher, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, errClosed()
	}
	if from == 0 {
		from = f.last
	}
	if from < f.floor {
		return nil, errs.Newf(errs.Exhausted, "revision %d is older than the %d from which changes are remembered; read the state anew and watch from there", from, f.floor)
	}
	w := &watcher{
		feed: f, prefix: prefix, cursor: from, epoch: f.lost, pulses: f.pulses,
		events: make(chan store.Event, buffered),
		wake:   make(chan struct{}, 1),
		stop:   make(chan struct{}),
		done:   make(chan struct{}),
	}
	w.poke()
	f.watchers[w] = struct{}{}
	go w.run(ctx)
	return w, nil
}

// Reset ends all watches with Exhausted: commits may have been missed. What
// follows can be watched from at on.
func (f *Feed) Reset(at store.Revision) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.history, f.first, f.bytes = nil, 0, 0
	f.floor, f.last = at, at
	f.lost++
	for w := range f.watchers {
		w.poke()
	}
}

// Close ends all watches and waits for them.
func (f *Feed) Close() {
	f.mu.Lock()
	f.closed = true
	running := make([]*watcher, 0, len(f.watchers))
	for w := range f.watchers {
		running = append(running, w)
	}
	f.mu.Unlock()
	for _, w := range running {
		w.end(errClosed())
	}
}

// next returns the first event behind w's cursor that concerns it, and moves
// the cursor. ok is false if there is none yet.
func (f *Feed) next(w *watcher) (e store.Event, ok bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.epoch != f.lost || w.cursor < f.floor {
		return e, false, errs.New(errs.Exhausted, "changes were lost to this watch; read the state anew and watch from there")
	}
	alive := f.history[f.first:]
	i := sort.Search(len(alive), func(i int) bool { return alive[i].Revision > w.cursor })
	for ; i < len(alive) && (w.pulses == f.pulses || alive[i].Revision <= f.pulse.Revision); i++ {
		w.cursor = alive[i].Revision
		if e, ok = filter(alive[i], w.prefix); ok {
			return e, true, nil
		}
	}
	if w.pulses != f.pulses { // before newer events: they may never end
		w.pulses, w.cursor = f.pulses, max(w.cursor, f.pulse.Revision)
		return store.Event{Revision: w.cursor, At: f.pulse.At}, true, nil
	}
	return store.Event{}, false, nil
}

func (f *Feed) forget(w *watcher) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.watchers, w)
}

func errClosed() error { return errs.New(errs.Unavailable, "the store is closed") }
