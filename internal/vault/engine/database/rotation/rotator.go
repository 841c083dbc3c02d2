package rotation

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
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

// update runs a transaction of its own: engine.Config's Update, or Duty, for what only the node
// does that does the background work.
type update func(ctx context.Context, change func(context.Context, engine.Tx) error) error

// change runs f on the subject's stored state, in a transaction of its own, and
// keeps the index true. f returns false to leave all as it is.
func (r *Rotator) change(ctx context.Context, run update, s Subject, f func(*Target) (bool, error)) error {
	return run(ctx, func(ctx context.Context, tx engine.Tx) error {
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
// change that was broken off, and claims it. The caller commits. The database is asked first
// whether it is there, so that one that is down leaves no change half begun.
func (r *Rotator) Start(ctx context.Context, t *Target, now time.Time) error {
	pending := t.State.Pending
	if pending == "" {
		if err := t.State.closed(t.Subject, now); err != nil {
			return err
		}
		if err := r.ping(ctx, t); err != nil {
			return err
		}
		password, err := r.cfg.Password(ctx, t.Policy)
		if err != nil {
			return errs.Newf(errs.KindOf(err), "making a password: %w", err)
		}
		pending = password.RevealString()
	}
	id, err := r.id()
	if err != nil {
		return err
	}
	t.State.begin(pending, id, now)
	t.claimed(id, pending)
	return nil
}

// closed is an error of kind Unavailable if no password may be drawn now.
func (r *State) closed(s Subject, now time.Time) error {
	switch {
	case r.busy(now):
		return errs.Newf(errs.Unavailable, "another change of the password of %s is just coming to its end: try again", s)
	case r.full(now):
		return errs.Newf(errs.Unavailable, "of %d changes of the password of %s it is not known whether they came to their end: try again in an hour, and see why the database does not answer", maxClaims, s)
	}
	return nil
}

// claimed notes that whoever has t has claimed a password and may set it.
func (t *Target) claimed(id, password string) {
	t.claims, t.setting, t.until = append(t.claims, id), password, time.Now().Add(setWithin)
}

// id draws a name of a claim.
func (r *Rotator) id() (string, error) {
	raw := make([]byte, 12)
	if _, err := io.ReadFull(r.cfg.Random, raw); err != nil {
		return "", errs.Newf(errs.Internal, "reading randomness: %w", err)
	}
	return hex.EncodeToString(raw), nil
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
	r.cfg.Wake() // Work has to know of the claim, should this node end here
	waiting, cancel := context.WithDeadline(ctx, t.until)
	defer cancel()
	release, err := r.turns.Take(waiting, t.Subject)
	if err != nil {
		return errors.Join(err, r.withdraw(ctx, t)) // it stays pending, and Work takes it up
	}
	defer release()
	done, err := r.overtaken(waiting, t)
	if err == nil && !done && waiting.Err() != nil {
		err = errs.Newf(errs.Unavailable, "the password of %s was not changed in time: %w", t.Subject, waiting.Err())
	}
	if done || err != nil {
		return errors.Join(err, r.withdraw(ctx, t))
	}
	return r.finish(ctx, t, r.set(ctx, t))
}

// withdraw takes the claims of somebody back who has set nothing.
func (r *Rotator) withdraw(ctx context.Context, t *Target) error {
	return r.change(context.WithoutCancel(ctx), r.cfg.Update, t.Subject, func(now *Target) (bool, error) {
		before := len(now.State.Claims)
		now.State.release(t.claims)
		return len(now.State.Claims) != before, nil
	})
}

// overtaken reports whether somebody else has carried out t's change; the error
// says that it came to nothing. Without its claim nobody sets anything.
func (r *Rotator) overtaken(ctx context.Context, t *Target) (done bool, err error) {
	err = r.cfg.Update(ctx, func(ctx context.Context, tx engine.Tx) error {
		now, err := r.load(ctx, tx, t.Subject)
		switch {
		case err != nil:
			return err
		case now == nil:
			return errs.Newf(errs.NotExist, "%s was deleted before its password was changed", t.Subject)
		}
		done = now.State.Pending == "" && now.State.Password == t.setting
		if !done && (now.State.Pending != t.setting || !now.State.has(t.claims[0])) {
			return between(t.Subject)
		}
		return nil
	})
	return done, err
}

func between(s Subject) error {
	return errs.Newf(errs.Unavailable, "another change of the password of %s came between: try again", s)
}

// set is steps 2 and 3: the database gets the new password, and a login proves
// it. Doing it again does no harm.
func (r *Rotator) set(ctx context.Context, t *Target) error {
	account := &driver.Account{Username: t.Username, Password: redact.FromString(t.setting), Statements: t.Statements}
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
	err := t.Server.Login(ctx, t.Username, t.setting)
	if errs.Is(err, errs.Invalid) && !driver.IsPassword(err) && !t.Root {
		r.cfg.Log.Warn("a new password could not be proved by a login", "of", t.Subject.String(), "error", err)
		return nil
	}
	if err != nil {
		return errs.Newf(errs.KindOf(err), "the database took the new password of %s, but a login with it fails: %w", t.Subject, err)
	}
	return nil
}

// Current returns the password in force; "" if none is known. While it changes, a
// login tells which.
func (r *Rotator) Current(ctx context.Context, t *Target) string {
	if t.State.Pending != "" && r.logsIn(ctx, t, t.State.Pending, readTimeout) == nil {
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
	for _, password := range append([]string{t.State.Password}, t.State.Others()...) {
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
