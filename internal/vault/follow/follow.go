package follow

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Pauses before what could not be taken up is tried again: the second twice as long as the
// first, and so on. A watch that went well for maxPause begins anew.
const (
	minPause = 100 * time.Millisecond
	maxPause = 2 * time.Second
)

// Config of a Follower. All fields are set.
type Config struct {
	Store store.Store // whose watches give signs of life
	// MaxSilence is how old the latest sign of life of the store may be, by its proof, before the
	// Follower is silent.
	MaxSilence time.Duration
	// Take takes up what one commit changed. It is called for one after the other, again for one
	// that it could not take up; what it reads of Store is at least as new.
	Take func(ctx context.Context, e *store.Event) error
	// TakeAll takes up everything anew, since it is not known what has changed.
	TakeAll func(ctx context.Context) error
	// Deaf is called whenever the Follower becomes silent. It does not wait.
	Deaf func()
	Log  *slog.Logger
}

// Follower follows a store. Its methods may be called by any number of goroutines.
type Follower struct {
	cfg   Config
	born  time.Time    // times below are since then, by the monotonic clock
	heard atomic.Int64 // when what was built was last known to be as the store was, ns
	stuck atomic.Bool  // what another has changed cannot be taken up

	mu      sync.Mutex
	seen    store.Revision
	changed chan struct{} // closed and replaced when seen grows
}

// New returns one for what is built from now on: rev is the store's revision before.
func New(cfg Config, rev store.Revision) *Follower {
	return &Follower{cfg: cfg, born: time.Now(), seen: rev, changed: make(chan struct{})}
}

// Silent reports whether nothing was heard of the store for too long.
func (f *Follower) Silent() bool {
	return time.Since(f.born)-time.Duration(f.heard.Load()) > f.cfg.MaxSilence
}

// Stuck reports whether the Follower knows of changes that it cannot take up.
func (f *Follower) Stuck() bool { return f.stuck.Load() }

// Seen is the revision up to which everything was taken up.
func (f *Follower) Seen() store.Revision {
	seen, _ := f.progress()
	return seen
}

// Await returns when everything up to rev was taken up. Kind Unavailable: ctx ended first.
func (f *Follower) Await(ctx context.Context, rev store.Revision) error {
	for {
		seen, changed := f.progress()
		if seen >= rev {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errs.Newf(errs.Unavailable, "waiting for what another node wrote: %w", ctx.Err())
		}
	}
}

func (f *Follower) progress() (store.Revision, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen, f.changed
}

func (f *Follower) advance(rev store.Revision) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if rev > f.seen {
		f.seen = rev
		close(f.changed)
		f.changed = make(chan struct{})
	}
}

// Run follows until ctx ends, again whenever a watch ends.
func (f *Follower) Run(ctx context.Context) {
	var listening sync.WaitGroup
	defer listening.Wait()
	listening.Go(func() { f.listen(ctx) })
	for wait := time.Duration(0); ; {
		began := time.Now()
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		f.cfg.Log.Warn("following what other nodes write", slog.Any("error", err))
		if errs.Is(err, errs.Exhausted) {
			f.catchUp(ctx)
		}
		if wait = min(max(2*wait, minPause), maxPause); time.Since(began) > maxPause {
			wait = minPause
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// listen tells of silences. What is being taken up may hang, so it has a goroutine of its own.
func (f *Follower) listen(ctx context.Context) {
	tick := time.NewTicker(f.cfg.MaxSilence/4 + 1)
	defer tick.Stop()
	for was := false; ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := f.Silent()
		if now && !was {
			f.cfg.Deaf()
		}
		was = now
	}
}

// catchUp takes up everything. If it cannot, the next watch ends as the last one did.
func (f *Follower) catchUp(ctx context.Context) {
	rev, err := f.reach(ctx)
	if err == nil {
		err = f.cfg.TakeAll(ctx)
		f.stuck.Store(err != nil && ctx.Err() == nil)
	}
	if err != nil {
		f.cfg.Log.Warn("loading everything anew", slog.Any("error", err))
		return
	}
	f.advance(rev)
}

// reach returns a revision which all that is read from now on is at least as new as. Where the store
// stands is not one: what it keeps in memory may be older, until a watch has shown what came after.
func (f *Follower) reach(ctx context.Context) (store.Revision, error) {
	rev, err := f.cfg.Store.Apply(ctx)
	if err != nil {
		return 0, err
	}
	w, err := f.cfg.Store.Watch(ctx, "", rev)
	if err != nil {
		return 0, err
	}
	defer w.Close()
	select {
	case _, ok := <-w.Events(): // a sign of life, if nobody writes
		if !ok {
			return 0, ended(w)
		}
		return rev, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// follow takes up what one watch brings, and returns why it ended.
func (f *Follower) follow(ctx context.Context) error {
	began := time.Now()
	now, err := f.cfg.Store.Apply(ctx) // where the store stood, not earlier than began
	if err != nil {
		return errs.Newf(errs.KindOf(err), "asking where the store stands: %w", err)
	}
	w, err := f.cfg.Store.Watch(ctx, "", f.Seen())
	if err != nil {
		return err
	}
	defer w.Close()
	for started := false; ; {
		if !started && f.Seen() >= now {
			started = true
			f.hear(began)
		}
		select {
		case e, ok := <-w.Events():
			if !ok {
				return ended(w)
			}
			if err := f.take(ctx, &e); err != nil {
				return err
			}
			f.hear(e.At)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func ended(w store.Watcher) error {
	if err := w.Err(); err != nil {
		return err
	}
	return errs.New(errs.Unavailable, "the watch was closed")
}

// take takes up one event.
func (f *Follower) take(ctx context.Context, e *store.Event) error {
	if len(e.Changes) > 0 {
		err := f.cfg.Take(ctx, e)
		f.stuck.Store(err != nil && ctx.Err() == nil)
		if err != nil {
			return errs.Newf(errs.KindOf(err), "taking up what another node has changed: %w", err)
		}
	}
	f.advance(e.Revision)
	return nil
}

// hear takes note that what was built is as the store was at a time; the zero time is none.
// How long a sign of life was on its way makes it no younger.
func (f *Follower) hear(at time.Time) {
	if heard := int64(at.Sub(f.born)); heard > f.heard.Load() {
		f.heard.Store(heard)
	}
}
