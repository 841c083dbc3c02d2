package rotation

import (
	"context"
	"errors"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

// maxRepairs bounds how often somebody who set a password that does not count any more sets the
// one that does, while others change it all the time. Then Work does it.
const maxRepairs = 8

// outcome is what came of setting a password.
type outcome struct {
	cause  error // nil if proved
	proved bool  // a login with it succeeds, or the database has said that it is set
	unset  bool  // it is certain that it was not set, and will not be
}

// look finds out what came of setting t's password, which ended with cause.
func (r *Rotator) look(ctx context.Context, t *Target, cause error) outcome {
	if cause == nil || t.SkipLogin {
		return outcome{cause: cause, proved: cause == nil}
	}
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	err := t.Server.Login(ctx, t.Username, t.setting)
	if err == nil {
		return outcome{proved: true} // it is in force all the same
	}
	// What may still be under way in the database is not known to have failed.
	return outcome{cause: cause, unset: driver.IsPassword(err) && errs.Is(cause, errs.Invalid)}
}

// finish is step 4, or notes why it did not come to that. Where another password counts by now,
// it sets that: the one that was set late is not to stay. It goes on whatever becomes of ctx.
// It returns cause.
func (r *Rotator) finish(ctx context.Context, t *Target, cause error) error {
	ctx = context.WithoutCancel(ctx)
	defer r.cfg.Wake()
	o := r.look(ctx, t, cause)
	again, err := r.conclude(ctx, t, o)
	switch {
	case err != nil || again == nil:
		return errors.Join(o.cause, err)
	}
	for range maxRepairs {
		if again, err = r.repair(ctx, again); err != nil || again == nil {
			break
		}
	}
	return errors.Join(o.cause, between(t.Subject), err)
}

// conclude stores what came of the setting that somebody has claimed. If another password counts
// than the one that was, or may have been, set, that one is claimed, and returned to be set.
func (r *Rotator) conclude(ctx context.Context, t *Target, o outcome) (again *Target, err error) {
	id, err := r.id()
	if err != nil {
		return nil, err
	}
	err = r.change(ctx, r.cfg.Update, t.Subject, func(now *Target) (bool, error) {
		again = nil
		at := r.cfg.Now()
		if counts := now.State.wanted(); !now.State.take(t, o, at) {
			again = now
			if o.proved || errs.Is(o.cause, errs.Invalid) {
				again.claims = append(again.claims, t.claims...)
			} else { // it may still be under way in the database
				now.State.leave(t.claims)
			}
			now.State.claim(id, counts, at)
			again.claimed(id, counts)
		}
		now.State.watch(at)
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	if t.Root && o.proved {
		t.Server.Reset()
	}
	return again, nil
}

// take notes what came of t's setting; false: another password counts, over which it was, or may
// have been, set.
func (r *State) take(t *Target, o outcome, now time.Time) bool {
	counts := r.wanted()
	switch {
	case o.proved:
		return r.proved(t, counts, now)
	case o.unset && len(t.claims) <= 1: // nothing was set before either
		r.release(t.claims)
		if r.Pending == t.setting {
			r.failed(o.cause.Error(), true, now)
		}
		return true
	case counts == t.setting:
		r.leave(t.claims)
		if r.Pending != "" {
			r.failed(o.cause.Error(), false, now)
		}
		return true
	}
	return false
}

func (r *State) proved(t *Target, counts string, now time.Time) bool {
	if counts != t.setting && counts != "" {
		return false
	}
	r.release(t.claims)
	if r.Pending != "" || counts == "" {
		r.Pending = t.setting
		r.done(now)
	}
	return true
}

// repair has the password be in force that counted when t was claimed.
func (r *Rotator) repair(ctx context.Context, t *Target) (again *Target, err error) {
	r.cfg.Log.Warn("a password was set when another one counted already; that one is set again", "of", t.Subject.String())
	o := r.look(ctx, t, r.ensure(ctx, t))
	if again, err = r.conclude(ctx, t, o); err != nil {
		return nil, err
	}
	if again == nil && !o.proved {
		return nil, errs.Newf(errs.KindOf(o.cause), "setting the password of %s that counts: it is tried again: %w", t.Subject, o.cause)
	}
	return again, nil
}

// ensure has t's password be in force.
func (r *Rotator) ensure(ctx context.Context, t *Target) error {
	if !t.SkipLogin && r.logsIn(ctx, t, t.setting, driver.LoginTimeout) == nil {
		return nil
	}
	return r.set(ctx, t)
}
