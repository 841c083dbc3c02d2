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

// pause is waited before what could not be taken up is tried again.
const pause = 100 * time.Millisecond

// Config of a Follower. All fields are set.
type Config struct {
	Store store.Store // whose watches give signs of life
	// MaxSilence is how long nothing may be heard of the store before the Follower is silent.
	MaxSilence time.Duration
	// Take takes up what one commit changed. It is called for one after the other, again for one
	// that it could not take up; what it reads of Store is at least as new.
	Take func(ctx context.Context, e *store.Event) error
	// TakeAll takes up everything anew, since it is not known what has changed.
	TakeAll func(ctx context.Context) error
	Log     *slog.Logger
}

// Follower follows a store. Its methods may be called by any number of goroutines.
type Follower struct {
	cfg   Config
	born  time.Time    // times below are since then, by the monotonic clock
	heard atomic.Int64 // when what was built was last known to be as the store was, ns

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
	for {
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		f.cfg.Log.Warn("following what other nodes write", slog.Any("error", err))
		if errs.Is(err, errs.Exhausted) {
			f.catchUp(ctx)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// catchUp takes up everything. If it cannot, the next watch ends as the last one did.
func (f *Follower) catchUp(ctx context.Context) {
	rev, err := f.cfg.Store.Apply(ctx)
	if err == nil {
		err = f.cfg.TakeAll(ctx)
	}
	if err != nil {
		f.cfg.Log.Warn("loading everything anew", slog.Any("error", err))
		return
	}
	f.advance(rev)
}

// follow takes up what one watch brings, and returns why it ended.
func (f *Follower) follow(ctx context.Context) error {
	began := time.Since(f.born)
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
			f.heard.Store(int64(began))
		}
		select {
		case e, ok := <-w.Events():
			if !ok {
				return ended(w)
			}
			if err := f.take(ctx, &e, started); err != nil {
				return err
			}
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

// take takes up one event. A sign of life that had to wait for too long says nothing about now.
func (f *Follower) take(ctx context.Context, e *store.Event, started bool) error {
	if len(e.Changes) > 0 {
		if err := f.cfg.Take(ctx, e); err != nil {
			return errs.Newf(errs.KindOf(err), "taking up what another node has changed: %w", err)
		}
	}
	f.advance(e.Revision)
	switch {
	case len(e.Changes) > 0 || !started:
		return nil
	case f.Silent():
		return errs.New(errs.Unavailable, "this node was too slow")
	}
	f.heard.Store(int64(time.Since(f.born)))
	return nil
}
