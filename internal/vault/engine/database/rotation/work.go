package rotation

import (
	"context"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// workers is how many connections Work attends to at once. Those of one
// connection wait for each other, and after one that found the database down
// the others are put off without asking it.
const workers = 16

// Work changes what is due, and returns when to be called next: it is what an
// engine.Worker does.
func (r *Rotator) Work(ctx context.Context) (time.Time, error) {
	var found *overdue
	find := func(ctx context.Context, tx engine.Tx) (err error) {
		found, err = r.find(ctx, tx, r.cfg.Now())
		return err
	}
	if err := r.cfg.Duty(ctx, find); err != nil {
		return time.Time{}, err
	}
	if len(found.now) == 0 {
		return found.next, nil
	}
	byConnection := map[string][]*Target{}
	for _, t := range found.now {
		byConnection[t.Connection] = append(byConnection[t.Connection], t)
	}
	var wait sync.WaitGroup
	slots := make(chan struct{}, workers)
	for name, targets := range byConnection {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			r.rotateAll(ctx, name, targets)
		})
	}
	wait.Wait()
	if err := ctx.Err(); err != nil {
		return time.Time{}, errs.As(errs.Unavailable, err)
	}
	err := r.cfg.Duty(ctx, find)
	if err == nil && len(found.now) > 0 {
		return r.cfg.Now(), nil
	}
	return found.next, err
}

// rotateAll changes the passwords of one connection's Subjects, one by one.
func (r *Rotator) rotateAll(ctx context.Context, connection string, targets []*Target) {
	var down error
	for _, t := range targets {
		if ctx.Err() != nil {
			return
		}
		var err error
		if down != nil {
			err = r.postpone(ctx, t.Subject, down)
		} else {
			err = r.rotate(ctx, t)
		}
		if err == nil {
			continue
		}
		r.cfg.Log.Warn("a password was not changed", "of", t.Subject.String(), "connection", connection, "error", err)
		if errs.Is(err, errs.Unavailable) {
			down = err
		}
	}
}
