package unsealed

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// followPause is waited before what could not be taken up is tried again.
const followPause = 100 * time.Millisecond

// follower brings what this node keeps in memory in step with what others write.
// Its goroutine is owned by the Vault.
type follower struct {
	vault *Vault
	born  time.Time    // times below are since then, by the monotonic clock
	heard atomic.Int64 // when memory was last known to be as the store was, ns

	mu      sync.Mutex
	seen    store.Revision
	changed chan struct{} // closed and replaced when seen grows
}

// newFollower returns one of a vault whose memory is built from now on: rev is the
// store's revision before.
func newFollower(v *Vault, rev store.Revision) *follower {
	return &follower{vault: v, born: time.Now(), seen: rev, changed: make(chan struct{})}
}

// Current returns Unavailable if this node may serve what is no longer so: nothing was heard
// of the store for too long. A vault whose store nobody else writes to is always current.
func (v *Vault) Current() error {
	if v.follower == nil || !v.follower.silent() {
		return nil
	}
	return errs.New(errs.Unavailable, "this node has lost touch with its store, and does not answer from what it remembers; it goes on by itself")
}

// Seen is the revision up to which this node shows everything that was written; 0 where
// nobody else writes to the store.
func (v *Vault) Seen() store.Revision {
	if v.follower == nil {
		return 0
	}
	rev, _ := v.follower.progress()
	return rev
}

// Await returns when this node shows what was written up to rev. Kind Unavailable: ctx ended first.
func (v *Vault) Await(ctx context.Context, rev store.Revision) error {
	if v.follower == nil {
		return nil
	}
	for {
		seen, changed := v.follower.progress()
		if seen >= rev {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errs.Newf(errs.Unavailable, "this node does not show yet what was asked for; try again, or ask another: %w", ctx.Err())
		}
	}
}

func (f *follower) silent() bool {
	return time.Since(f.born)-time.Duration(f.heard.Load()) > f.vault.cfg.MaxSilence
}

func (f *follower) progress() (store.Revision, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seen, f.changed
}

func (f *follower) advance(rev store.Revision) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if rev > f.seen {
		f.seen = rev
		close(f.changed)
		f.changed = make(chan struct{})
	}
}

// run follows until ctx ends, again whenever a watch ends.
func (f *follower) run(ctx context.Context) {
	for {
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		f.vault.cfg.Log.Warn("following what other nodes write", slog.Any("error", err))
		if errs.Is(err, errs.Exhausted) {
			f.catchUp(ctx)
		}
		if !pause(ctx) {
			return
		}
	}
}

func pause(ctx context.Context) bool {
	select {
	case <-time.After(followPause):
		return true
	case <-ctx.Done():
		return false
	}
}

// catchUp loads everything, since it is not known what has changed.
func (f *follower) catchUp(ctx context.Context) {
	rev, err := f.vault.Store.Apply(ctx)
	f.vault.Events.Lose()
	if err == nil {
		err = f.vault.takeUp(ctx, touched{namespaces: true, mounts: true, quotas: true, settings: true, devices: true, headers: true, held: true})
	}
	if err != nil {
		f.vault.cfg.Log.Warn("loading everything anew", slog.Any("error", err))
		return // the next watch ends in the same way
	}
	f.advance(rev)
}

// follow takes up what one watch brings, and returns why it ended.
func (f *follower) follow(ctx context.Context) error {
	began := time.Since(f.born)
	now, err := f.vault.Store.Apply(ctx) // where the store stood, not earlier than began
	if err != nil {
		return errs.Newf(errs.KindOf(err), "asking where the store stands: %w", err)
	}
	from, _ := f.progress()
	w, err := f.vault.Store.Watch(ctx, "", from)
	if err != nil {
		return err
	}
	defer w.Close()
	for started := false; ; {
		if seen, _ := f.progress(); !started && seen >= now {
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
func (f *follower) take(ctx context.Context, e *store.Event, started bool) error {
	if changed := touchedBy(e.Changes); changed != (touched{}) {
		if err := f.vault.takeUp(ctx, changed); err != nil {
			return errs.Newf(errs.KindOf(err), "taking up what another node has changed: %w", err)
		}
	}
	for i := range e.Changes {
		f.vault.hear(ctx, &e.Changes[i], e.Revision)
	}
	f.advance(e.Revision)
	switch {
	case len(e.Changes) > 0 || !started:
		return nil
	case f.silent():
		return errs.New(errs.Unavailable, "this node was too slow")
	}
	f.heard.Store(int64(time.Since(f.born)))
	return nil
}

// takeUp brings memory in step with the store.
func (v *Vault) takeUp(ctx context.Context, changed touched) error {
	v.reload.Lock()
	defer v.reload.Unlock()
	if err := v.load(ctx, changed); err != nil {
		return err
	}
	if changed.devices {
		// One that cannot be enabled here was enabled elsewhere: this node does not serve what
		// it cannot put on record, and the one that enabled it does not lose it.
		if err := v.syncDevices(ctx); err != nil {
			return err
		}
	}
	if changed.held {
		held, err := v.Leases.Restore(ctx, false)
		if err != nil {
			return err
		}
		v.Leases.SetHeld(held)
	}
	if changed.headers {
		return v.loadHeaders(ctx)
	}
	return nil
}
