package transit

import (
	"context"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/key"
	"github.com/strongkeep/strongkeep/internal/vault/engine/transit/keyring"
)

// retryRotation is how long to wait for a key that could not be rotated.
const retryRotation = 10 * time.Minute

// Work implements engine.Worker: it rotates the keys that are due. The index by
// hours tells which ones to look at; there are as many hours as keys fall due
// in, however many keys there are.
func (e *Engine) Work(ctx context.Context) (next time.Time, err error) {
	now := e.cfg.Now().UTC()
	var names []string
	var hours []time.Time
	err = e.cfg.Duty(ctx, func(ctx context.Context, tx engine.Tx) (err error) {
		names, hours, err = keyring.DueBy(ctx, tx, now)
		return err
	})
	if err != nil {
		return time.Time{}, err
	}
	for _, hour := range hours {
		next = sooner(next, hour)
	}
	for _, name := range names {
		at, err := e.rotateDue(ctx, name, now)
		if ctx.Err() != nil || errs.Is(err, errs.NotExist) || errs.Is(err, errs.Unavailable) {
			return time.Time{}, err // the mount is going away, or the store is
		}
		if err != nil {
			e.cfg.Log.Warn("a key was due to rotate and did not", "mount", e.cfg.MountPath(), "key", name, "error", err)
			at = now.Add(retryRotation)
		}
		next = sooner(next, at)
	}
	return next, nil
}

// sooner returns the earlier of two times, of which the zero time is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// rotateDue rotates a key if it is due, and returns when it is due next, zero
// for never.
func (e *Engine) rotateDue(ctx context.Context, name string, now time.Time) (next time.Time, err error) {
	var from, to int
	err = e.cfg.Duty(ctx, func(ctx context.Context, tx engine.Tx) error {
		next, from, to = time.Time{}, 0, 0
		old, err := keyring.Load(ctx, tx, name)
		if err != nil || old == nil {
			return err
		}
		next = old.Due()
		if !rotatesNow(old, now) {
			return nil
		}
		made, err := old.Rotate(e.source(now))
		if err != nil {
			return err
		}
		next, from, to = made.Due(), old.Latest(), made.Latest()
		c := keyring.Change{Name: name, Old: old, Made: made, Operation: "key-auto-rotate"}
		_, err = c.Apply(tx)
		return err
	})
	if err == nil && to > from {
		e.cfg.Log.Info("a key was rotated by its period", "mount", e.cfg.MountPath(), "key", name, "version", to)
	}
	return next, err
}

// rotatesNow decides whether a key is to be rotated by itself.
func rotatesNow(k *key.Key, now time.Time) bool {
	at := k.Due()
	return !at.IsZero() && !now.Before(at) && k.Rotates()
}
