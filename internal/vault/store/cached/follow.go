package cached

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// follower keeps the table true by a watch over everything. Its one goroutine
// is owned by the Store.
type follower struct{ *Store }

// run follows w, which start returned with err, and starts anew whenever a
// watch ends, until ctx does.
func (f follower) run(ctx context.Context, w store.Watcher, err error) {
	for {
		if err == nil {
			err = f.follow(ctx, w)
		}
		if ctx.Err() != nil {
			return
		}
		f.cfg.Log.Warn("the cache is off until the store can be watched again", slog.Any("reason", err))
		for err != nil {
			select {
			case <-time.After(f.cfg.Retry):
			case <-ctx.Done():
				return
			}
			w, err = f.start(ctx)
		}
		f.cfg.Log.Info("the cache is on again")
	}
}

// start begins a watch and makes the table live. The order matters: the watch
// listens before the table is emptied, so that whatever is kept later is
// watched; and the table is empty before it is believed.
func (f follower) start(ctx context.Context) (store.Watcher, error) {
	from, err := f.current(ctx)
	if err != nil {
		return nil, err
	}
	w, err := f.inner.Watch(ctx, "", from)
	if err != nil {
		return nil, err
	}
	f.table.reset()
	f.listen()
	f.taken.start(from)
	f.live.Store(true)
	return w, nil
}

// current returns the store's revision. New waits for it, so not for ever.
func (f follower) current(ctx context.Context) (store.Revision, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return f.inner.Apply(ctx)
}

// follow drops what the events of w change, and returns why it ended. From
// then on reads go through and nothing is kept.
func (f follower) follow(ctx context.Context, w store.Watcher) error {
	defer w.Close()
	defer f.table.reset()
	defer f.taken.stop()
	defer f.live.Store(false)
	silence, stop := f.alarm()
	defer stop()
	for {
		select {
		case e, ok := <-w.Events():
			switch {
			case !ok && w.Err() == nil:
				return errs.New(errs.Unavailable, "the watch was closed")
			case !ok:
				return w.Err()
			case !f.believed():
				return errSilent() // the event is late
			}
			f.note(e)
		case <-silence:
			if !f.believed() {
				return errSilent()
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// note drops what e changed.
func (f follower) note(e store.Event) {
	for i := range e.Changes {
		f.table.drop(e.Changes[i].Key, e.Revision)
	}
	if f.cfg.MaxSilence == 0 || len(e.Changes) == 0 {
		f.listen() // changes may come late for ever, a sign of life is fresh
	}
	f.taken.advance(e.Revision)
}

func (f follower) listen() { f.heard.Store(int64(time.Since(f.born))) }

// alarm ticks often enough to notice silence; a store that may be silent has none.
func (f follower) alarm() (<-chan time.Time, func()) {
	if f.cfg.MaxSilence == 0 {
		return nil, func() {}
	}
	t := time.NewTicker(f.cfg.MaxSilence/2 + 1)
	return t.C, t.Stop
}

func errSilent() error {
	return errs.New(errs.Unavailable, "the watch gave no sign of life for too long")
}

// progress says up to which revision the table has taken note of events.
type progress struct {
	mu      sync.Mutex
	live    bool
	rev     store.Revision
	waiters int
	changed chan struct{} // closed and replaced when waiters may go on
}

func (p *progress) start(rev store.Revision) { p.set(true, rev) }
func (p *progress) stop()                    { p.set(false, 0) }

func (p *progress) advance(rev store.Revision) { p.set(true, rev) }

func (p *progress) set(live bool, rev store.Revision) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.live, p.rev = live, rev
	if p.waiters > 0 {
		close(p.changed)
		p.changed, p.waiters = make(chan struct{}), 0
	}
}

// wait returns when the table has taken note of rev, or is not believed at all.
func (p *progress) wait(ctx context.Context, rev store.Revision) error {
	for {
		p.mu.Lock()
		if !p.live || p.rev >= rev {
			p.mu.Unlock()
			return nil
		}
		p.waiters++
		changed := p.changed
		p.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
