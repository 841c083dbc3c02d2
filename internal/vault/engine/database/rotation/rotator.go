package rotation

import (
	"context"
	"errors"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

// readTimeout is for the logins that find out which of two passwords works, while
// a client waits.
const readTimeout = 3 * time.Second

// Rotator changes passwords in one mount. It may be used concurrently.
type Rotator struct {
	cfg   engine.Config
	load  Load
	turns Turns[Subject]
}

// New returns a rotator of what load finds.
func New(cfg engine.Config, load Load) *Rotator { return &Rotator{cfg: cfg, load: load} }

// change runs f on the subject's stored state, in a transaction of its own, and
// keeps the index true. f returns false to leave all as it is.
func (r *Rotator) change(ctx context.Context, s Subject, f func(*Target) (bool, error)) error {
	return r.cfg.Update(ctx, func(ctx context.Context, tx engine.Tx) error {
		t, err := r.load(ctx, tx, s)
		if err != nil || t == nil {
			return err
		}
		was := t.State.Due
		changed, err := f(t)
		if err != nil || !changed {
			return err
		}
		Requeue(tx, s, was, t.State.Due)
		return t.Save(tx)
	})
}

// Start is step 1: it draws the password to come, unless there is one from a
// change that was broken off. The caller commits. The database is asked first
// whether it is there, so that one that is down leaves no change half begun.
func (r *Rotator) Start(ctx context.Context, t *Target, now time.Time) error {
	if t.State.Pending == "" {
		if err := r.ping(ctx, t); err != nil {
			return err
		}
		password, err := r.cfg.Password(ctx, t.Policy)
		if err != nil {
			return errs.Newf(errs.KindOf(err), "making a password: %w", err)
		}
		t.State.begin(password.RevealString(), now)
		return nil
	}
	t.State.begin(t.State.Pending, now)
	return nil
}

func (r *Rotator) ping(ctx context.Context, t *Target) error {
	if t.SelfManaged {
		return r.asItself(ctx, t, func(context.Context, driver.Database) error { return nil })
	}
	return t.Server.Use(ctx, driver.LoginTimeout, func(ctx context.Context, db driver.Database) error { return db.Ping(ctx) })
}

// CarryOut is steps 2 to 4 of a change that Start began and somebody committed.
// Several may have the same change to carry out: who comes later finds it done.
func (r *Rotator) CarryOut(ctx context.Context, t *Target) error {
	waiting, cancel := context.WithTimeout(ctx, driver.CallTimeout)
	defer cancel()
	release, err := r.turns.Take(waiting, t.Subject)
	if err != nil {
		return err // it stays pending, and Work takes it up
	}
	defer release()
	if done, err := r.overtaken(ctx, t); done || err != nil {
		return err
	}
	err = r.set(ctx, t)
	return r.finish(context.WithoutCancel(ctx), t, err)
}

// overtaken reports whether somebody else has carried out t's change; the error
// says that it came to nothing.
func (r *Rotator) overtaken(ctx context.Context, t *Target) (done bool, err error) {
	pending := t.State.Pending
	err = r.cfg.Update(ctx, func(ctx context.Context, tx engine.Tx) error {
		now, err := r.load(ctx, tx, t.Subject)
		switch {
		case err != nil:
			return err
		case now == nil:
			return errs.Newf(errs.NotExist, "%s was deleted before its password was changed", t.Subject)
		}
		done = now.State.Pending == "" && now.State.Password == pending
		if !done && now.State.Pending != pending {
			return errs.Newf(errs.Unavailable, "another change of the password of %s came between: try again", t.Subject)
		}
		return nil
	})
	return done, err
}

// set is steps 2 and 3: the database gets the new password, and a login proves
// it. Doing it again does no harm.
func (r *Rotator) set(ctx context.Context, t *Target) error {
	account := &driver.Account{Username: t.Username, Password: redact.FromString(t.State.Pending), Statements: t.Statements}
	apply := func(ctx context.Context, db driver.Database) error { return db.Update(ctx, account) }
	var err error
	if t.SelfManaged {
		err = r.asItself(ctx, t, apply)
	} else {
		err = t.Server.Use(ctx, driver.CallTimeout, apply)
	}
	if err != nil {
		return errs.Newf(errs.KindOf(err), "changing the password of %s: %w", t.Subject, err)
	}
	return r.prove(ctx, t)
}

// prove logs in with the new password. A login that is refused for another
// reason than the password (the user may not come in from here, or not at all)
// proves nothing and hinders nothing: the database has said that it is changed.
func (r *Rotator) prove(ctx context.Context, t *Target) error {
	if t.SkipLogin {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, driver.LoginTimeout)
	defer cancel()
	err := t.Server.Login(ctx, t.Username, t.State.Pending)
	if errs.Is(err, errs.Invalid) && !driver.IsPassword(err) && !t.Root {
		r.cfg.Log.Warn("a new password could not be proved by a login", "of", t.Subject.String(), "error", err)
		return nil
	}
	if err != nil {
		return errs.Newf(errs.KindOf(err), "the database took the new password of %s, but a login with it fails: %w", t.Subject, err)
	}
	return nil
}

// finish is step 4, or notes why it did not come to that. It returns cause.
func (r *Rotator) finish(ctx context.Context, t *Target, cause error) error {
	forget := false
	if cause != nil && !t.SkipLogin {
		probe, cancel := context.WithTimeout(ctx, readTimeout)
		err := t.Server.Login(probe, t.Username, t.State.Pending)
		cancel()
		if err == nil {
			cause = nil // it is in force all the same
		}
		forget = driver.IsPassword(err)
	}
	pending := t.State.Pending
	err := r.change(ctx, t.Subject, func(now *Target) (bool, error) {
		if now.State.Pending != pending {
			return false, nil // another has finished it
		}
		if cause != nil {
			now.State.failed(cause.Error(), forget, r.cfg.Now())
			return true, nil
		}
		now.State.done(r.cfg.Now())
		return true, nil
	})
	if cause == nil && t.Root && err == nil {
		t.Server.Reset()
	}
	r.cfg.Wake()
	return errors.Join(cause, err)
}

// rotate does all four steps of a subject that is due.
func (r *Rotator) rotate(ctx context.Context, due *Target) error {
	if due.State.missed(r.cfg.Now()) {
		return r.late(ctx, due)
	}
	if due.State.Pending != "" && r.inForce(ctx, due, driver.LoginTimeout) {
		return r.finish(ctx, due, nil) // a crash came between steps 2 and 4
	}
	var begun *Target
	pending := due.State.Pending
	err := r.Start(ctx, due, r.cfg.Now()) // asks the database, outside of the transaction
	if err != nil {
		return r.postpone(ctx, due.Subject, err)
	}
	err = r.change(ctx, due.Subject, func(now *Target) (bool, error) {
		begun = nil
		if now.State.Pending != pending || now.Server.Version() != due.Server.Version() && !now.Root {
			return false, nil // somebody else is at it, or the ground has moved: next time
		}
		now.State.begin(due.State.Pending, r.cfg.Now())
		begun = now
		return true, nil
	})
	if err != nil || begun == nil {
		return err
	}
	return r.CarryOut(ctx, begun)
}

// late is for a schedule whose window has passed: nothing new is begun, and what
// was begun is found out.
func (r *Rotator) late(ctx context.Context, due *Target) error {
	if due.State.Pending != "" {
		return r.CarryOut(ctx, due)
	}
	return r.change(ctx, due.Subject, func(now *Target) (bool, error) {
		now.State.Reschedule(r.cfg.Now())
		return true, nil
	})
}

// postpone notes a failure before step 1.
func (r *Rotator) postpone(ctx context.Context, s Subject, cause error) error {
	err := r.change(context.WithoutCancel(ctx), s, func(now *Target) (bool, error) {
		now.State.failed(cause.Error(), false, r.cfg.Now())
		return true, nil
	})
	return errors.Join(cause, err)
}

// inForce reports whether a login with the pending password succeeds.
func (r *Rotator) inForce(ctx context.Context, t *Target, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return t.Server.Login(ctx, t.Username, t.State.Pending) == nil
}

// Current returns the password in force; "" if none is known. While it changes, a
// login tells which.
func (r *Rotator) Current(ctx context.Context, t *Target) string {
	if t.State.Pending != "" && r.inForce(ctx, t, readTimeout) {
		return t.State.Pending
	}
	return t.State.Password
}

// asItself calls f with a database into which the user of a self-managed static
// role has logged in.
func (r *Rotator) asItself(ctx context.Context, t *Target, f func(context.Context, driver.Database) error) error {
	ctx, cancel := context.WithTimeout(ctx, driver.CallTimeout)
	defer cancel()
	var err error
	for _, password := range []string{t.State.Password, t.State.Pending} {
		db, openErr := t.Server.Open(t.Username, password)
		if openErr != nil {
			return openErr
		}
		if err = db.Ping(ctx); err == nil {
			err = f(ctx, db)
		}
		db.Close()
		if !driver.IsPassword(err) {
			return err
		}
	}
	return err
}
