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
	asked := time.Now()
	from, err := f.current(ctx)
	if err != nil {
		return nil, err
	}
	w, err := f.inner.Watch(ctx, "", from)
	if err != nil {
		return nil, err
	}
	f.table.reset()
	f.listen(asked)
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
// then on reads go through and nothing is kept. In a silence reads go through too; as
// the watch goes on, what is kept is true again when it has given a sign of life.
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
			}
			f.note(e)
		case <-silence:
			if !f.believed() {
				f.taken.stop() // who reads through need not wait
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
	f.listen(e.At)
	was := f.live.Load()
	now := f.taken.advance(f.cfg.MaxSilence == 0 || !f.silent(), e.Revision)
	if was == now {
		return
	}
	f.live.Store(now)
	f.cfg.Log.Debug("the watch's signs of life turn the cache on or off", slog.Bool("on", now))
}

// listen takes note that the table is as the store was at a time. Changes may come late
// for ever: only a sign of life has one.
func (f follower) listen(at time.Time) {
	if heard := int64(at.Sub(f.born)); heard > f.heard.Load() {
		f.heard.Store(heard)
	}
}

// alarm ticks often enough to notice silence; a store that may be silent has none.
func (f follower) alarm() (<-chan time.Time, func()) {
	if f.cfg.MaxSilence == 0 {
		return nil, func() {}
	}
	t := time.NewTicker(f.cfg.MaxSilence/2 + 1)
	return t.C, t.Stop
}

// progress says up to which revision the table has taken note of events.
type progress struct {
	mu      sync.Mutex
	live    bool
	rev     store.Revision
	passed  store.Revision // the newest that somebody was shown while the table was not believed
	waiters int
	changed chan struct{} // closed and replaced when waiters may go on
}

// start follows a reset of the table: what is kept from then on is newer than all that
// somebody was shown.
func (p *progress) start(rev store.Revision) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.passed = 0
	p.set(true, rev)
}

func (p *progress) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(false, 0)
}

// advance reports whether the table may be believed, which it may not before it has taken
// note of all that somebody was shown.
func (p *progress) advance(live bool, rev store.Revision) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.set(live && rev >= p.passed, rev)
	return p.live
}

// set is called with mu held.
func (p *progress) set(live bool, rev store.Revision) {
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
			if !p.live {
				p.passed = max(p.passed, rev)
			}
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
