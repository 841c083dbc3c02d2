package gate

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/mount"
	"github.com/strongkeep/strongkeep/internal/vault/password"
)

// host is what the vault gives the engine of one mount to work with by itself.
func (v *vault) host(g *Gate, e *mount.Entry) mount.Host {
	id, storage := e.ID, e.Storage()
	book := password.Book{Namespace: cmp.Or(e.Namespace, engine.RootNamespaceID)}
	return mount.Host{
		Update: func(ctx context.Context, change func(context.Context, engine.Tx) error) error {
			return v.update(ctx, g, id, func(ctx context.Context, t *tx) error {
				return change(ctx, mount.Confine(t, storage))
			})
		},
		Wake: func() { v.workers.wake(id) },
		Password: func(ctx context.Context, name string) (redact.Secret, error) {
			if name == "" {
				return password.Default().Generate(g.cfg.Random)
			}
			// Read each time: a policy that was made stricter holds at once.
			p, _, err := book.Get(ctx, v.store, name)
			if errs.Is(err, errs.NotExist) {
				return redact.Secret{}, errs.As(errs.Invalid, err)
			}
			if err != nil {
				return redact.Secret{}, err
			}
			return p.Generate(g.cfg.Random)
		},
	}
}

// update is a transaction outside of any request: it conflicts with the removal
// of its mount, is run again after other conflicts, and publishes its events.
func (v *vault) update(ctx context.Context, g *Gate, mountID string, change func(context.Context, *tx) error) error {
	for range maxRuns {
		t := begin(v.store)
		entry, err := t.Get(ctx, mount.EntryPrefix+mountID)
		if err != nil {
			return err
		}
		m := v.mounts.Table().ByID(mountID)
		if !entry.Exists() || m == nil {
			return errs.New(errs.NotExist, "the mount was removed")
		}
		if err := change(ctx, t); err != nil {
			return err
		}
		if t.Writes() == 0 {
			return nil
		}
		revision, err := t.Commit(context.WithoutCancel(ctx))
		if errs.Is(err, errs.Conflict) && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return errs.Newf(errs.KindOf(err), "committing work of %q: %w", m.Path, err)
		}
		ns, _ := v.namespaces.Table().ByID(m.Namespace)
		for _, e := range t.events {
			v.events.Publish(mountEvent(m, ns, e, uint64(revision), g.cfg.Now().UTC()))
		}
		return nil
	}
	return errs.New(errs.Unavailable, "too many others change the same entries; try again")
}

// Pauses after Work failed.
const (
	minWorkPause = time.Second
	maxWorkPause = 10 * time.Minute
)

// workers calls the Work of every mount that is a Worker, each in a goroutine of
// its own, so that a database that does not answer holds up no other mount.
type workers struct {
	now func() time.Time

	mu      sync.Mutex
	stopped bool
	held    bool               // none is started
	running map[string]*worker // by mount ID
}

type worker struct {
	wake chan struct{} // capacity 1
	stop context.CancelFunc
	done chan struct{}
}

// sync starts the workers of mounts that have none.
func (w *workers) sync(ctx context.Context, table *mount.Table) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped || w.held {
		return
	}
	for _, m := range table.All() {
		busy, ok := m.Engine.(engine.Worker)
		if !ok || w.running[m.ID] != nil {
			continue
		}
		ctx, stop := context.WithCancel(ctx)
		one := &worker{wake: make(chan struct{}, 1), stop: stop, done: make(chan struct{})}
		if w.running == nil {
			w.running = map[string]*worker{}
		}
		w.running[m.ID] = one
		log := m.Log
		go func() {
			defer close(one.done)
			one.run(ctx, busy, w.now, func(err error, pause time.Duration) {
				log.Warn("background work of a mount; will try again", "error", err, "pause", pause)
			})
		}()
	}
}

func (w *workers) wake(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if one := w.running[id]; one != nil {
		select {
		case one.wake <- struct{}{}:
		default: // woken already
		}
	}
}

// end stops the worker of one mount and waits for it.
func (w *workers) end(id string) {
	w.mu.Lock()
	one := w.running[id]
	delete(w.running, id)
	w.mu.Unlock()
	if one != nil {
		one.stop()
		<-one.done
	}
}

// hold stops all and lets no other start, until it is called again.
func (w *workers) hold(held bool) {
	w.mu.Lock()
	w.held = held
	w.mu.Unlock()
	if held {
		w.endAll()
	}
}

// close stops all and lets no other start.
func (w *workers) close() {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	w.endAll()
}

func (w *workers) endAll() {
	w.mu.Lock()
	ids := make([]string, 0, len(w.running))
	for id := range w.running {
		ids = append(ids, id)
	}
	w.mu.Unlock()
	for _, id := range ids {
		w.end(id)
	}
}

// run calls Work until ctx ends: at the time it asked for, when woken, and
// after failures with growing pauses.
func (o *worker) run(ctx context.Context, busy engine.Worker, now func() time.Time, failed func(error, time.Duration)) {
	pause := minWorkPause
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-o.wake:
		case <-timer.C:
		}
		next, err := safeWork(ctx, busy)
		timer.Stop()
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			failed(err, pause)
			timer.Reset(pause)
			pause = min(2*pause, maxWorkPause)
			continue
		case !next.IsZero():
			timer.Reset(max(next.Sub(now()), 0))
		}
		pause = minWorkPause
	}
}

// safeWork makes an error of a panic: it must not take the vault down.
func safeWork(ctx context.Context, busy engine.Worker) (next time.Time, err error) {
	var none *engine.Response
	defer survive(&none, &err)
	return busy.Work(ctx)
}
