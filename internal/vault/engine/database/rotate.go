package database

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

// target is a subject with all that is stored of it. Its role, or its conn if it
// is a root, is its own copy.
type target struct {
	subject
	conn  *connection // nil: not configured
	role  *static     // nil for a root
	state *rotation   // of role or conn
}

// load reads a subject; nil if it is not there.
func load(ctx context.Context, tx engine.Tx, s subject) (*target, error) {
	t := &target{subject: s}
	if s.root {
		c, err := loadConnection(ctx, tx, s.name)
		if err != nil || c == nil {
			return nil, err
		}
		own := *c
		t.conn, t.state = &own, &own.rotation
		return t, nil
	}
	r, err := loadStatic(ctx, tx, s.name)
	if err != nil || r == nil {
		return nil, err
	}
	own := *r
	t.role, t.state = &own, &own.rotation
	t.conn, err = loadConnection(ctx, tx, r.DB)
	return t, err
}

func (t *target) save(tx engine.Tx) error {
	if t.root {
		return t.conn.save(tx)
	}
	return t.role.save(tx)
}

func (t *target) username() string {
	if t.root {
		return t.conn.Username
	}
	return t.role.Username
}

// change runs f on the subject's stored state, in a transaction of its own, and
// keeps the index true. f returns false to leave all as it is.
func (e *Engine) change(ctx context.Context, s subject, f func(*target) (bool, error)) error {
	return e.cfg.Update(ctx, func(ctx context.Context, tx engine.Tx) error {
		t, err := load(ctx, tx, s)
		if err != nil || t == nil {
			return err
		}
		was := t.state.Due
		changed, err := f(t)
		if err != nil || !changed {
			return err
		}
		requeue(tx, s, was, t.state.Due)
		return t.save(tx)
	})
}

// start is step 1: it draws the password to come, unless there is one from a
// change that was broken off. The caller commits. The database is asked first
// whether it is there, so that one that is down leaves no change half begun.
func (e *Engine) start(ctx context.Context, t *target, now time.Time) error {
	if t.conn == nil {
		return unknownConnection(t.role.DB)
	}
	if t.state.Pending == "" {
		if err := e.ping(ctx, t); err != nil {
			return err
		}
		policy := t.conn.PasswordPolicy
		if t.role != nil {
			policy = t.role.policy(t.conn)
		}
		password, err := e.cfg.Password(ctx, policy)
		if err != nil {
			return errs.Newf(errs.KindOf(err), "making a password: %w", err)
		}
		t.state.begin(password.RevealString(), now)
		return nil
	}
	t.state.begin(t.state.Pending, now)
	return nil
}

func (e *Engine) ping(ctx context.Context, t *target) error {
	if t.role != nil && t.role.SelfManaged {
		return e.asItself(ctx, t, func(context.Context, driver.Database) error { return nil })
	}
	return e.use(ctx, t.conn, loginTimeout, func(ctx context.Context, db driver.Database) error { return db.Ping(ctx) })
}

// carryOut is steps 2 to 4 of a change that start began and somebody committed.
// Several may have the same change to carry out: who comes later finds it done.
func (e *Engine) carryOut(ctx context.Context, t *target) error {
	waiting, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	release, err := e.turns.take(waiting, t.subject)
	if err != nil {
		return err // it stays pending, and Work takes it up
	}
	defer release()
	if done, err := e.overtaken(ctx, t); done || err != nil {
		return err
	}
	err = e.set(ctx, t)
	return e.finish(context.WithoutCancel(ctx), t, err)
}

// overtaken reports whether somebody else has carried out t's change; the error
// says that it came to nothing.
func (e *Engine) overtaken(ctx context.Context, t *target) (done bool, err error) {
	pending := t.state.Pending
	err = e.cfg.Update(ctx, func(ctx context.Context, tx engine.Tx) error {
		now, err := load(ctx, tx, t.subject)
		switch {
		case err != nil:
			return err
		case now == nil:
			return errs.Newf(errs.NotExist, "%s was deleted before its password was changed", t.what())
		}
		done = now.state.Pending == "" && now.state.Password == pending
		if !done && now.state.Pending != pending {
			return errs.Newf(errs.Unavailable, "another change of the password of %s came between: try again", t.what())
		}
		return nil
	})
	return done, err
}

// set is steps 2 and 3: the database gets the new password, and a login proves
// it. Doing it again does no harm.
func (e *Engine) set(ctx context.Context, t *target) error {
	account := &driver.Account{Username: t.username(), Password: redact.FromString(t.state.Pending)}
	apply := func(ctx context.Context, db driver.Database) error { return db.Update(ctx, account) }
	var err error
	switch {
	case t.root:
		account.Statements = t.conn.RootStatements
		err = e.use(ctx, t.conn, callTimeout, apply)
	case t.role.SelfManaged:
		account.Statements = t.role.Statements
		err = e.asItself(ctx, t, apply)
	default:
		account.Statements = t.role.Statements
		err = e.use(ctx, t.conn, callTimeout, apply)
	}
	if err != nil {
		return errs.Newf(errs.KindOf(err), "changing the password of %s: %w", t.what(), err)
	}
	return e.prove(ctx, t)
}

func (t *target) what() string {
	if t.root {
		return "the connection " + t.name
	}
	return "the static role " + t.name
}

// prove logs in with the new password. A login that is refused for another
// reason than the password (the user may not come in from here, or not at all)
// proves nothing and hinders nothing: the database has said that it is changed.
func (e *Engine) prove(ctx context.Context, t *target) error {
	if t.role != nil && t.role.SkipLogin {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	err := e.login(ctx, t.conn, t.username(), t.state.Pending)
	if errs.Is(err, errs.Invalid) && !isPassword(err) && !t.root {
		e.cfg.Log.Warn("a new password could not be proved by a login", "of", t.what(), "error", err)
		return nil
	}
	if err != nil {
		return errs.Newf(errs.KindOf(err), "the database took the new password of %s, but a login with it fails: %w", t.what(), err)
	}
	return nil
}

// finish is step 4, or notes why it did not come to that. It returns cause.
func (e *Engine) finish(ctx context.Context, t *target, cause error) error {
	forget := false
	if cause != nil && !(t.role != nil && t.role.SkipLogin) {
		probe, cancel := context.WithTimeout(ctx, readTimeout)
		err := e.login(probe, t.conn, t.username(), t.state.Pending)
		cancel()
		if err == nil {
			cause = nil // it is in force all the same
		}
		forget = isPassword(err)
	}
	id, err := e.id()
	if err != nil {
		return err
	}
	pending := t.state.Pending
	err = e.change(ctx, t.subject, func(now *target) (bool, error) {
		if now.state.Pending != pending {
			return false, nil // another has finished it
		}
		if cause != nil {
			now.state.failed(cause.Error(), forget, e.cfg.Now())
			return true, nil
		}
		now.state.done(e.cfg.Now())
		if now.root {
			now.conn.ID = id
		}
		return true, nil
	})
	if cause == nil && t.root && err == nil {
		e.pools.drop(t.name)
	}
	e.cfg.Wake()
	return errors.Join(cause, err)
}

// rotateNow answers rotate-root and rotate-role: step 1 here, the rest behind
// the commit.
func (e *Engine) rotateNow(root bool) engine.Handler {
	return func(ctx context.Context, tx engine.Tx, req *engine.Request) (*engine.Response, error) {
		name := req.Params["name"]
		t, err := load(ctx, tx, subject{root: root, name: name})
		switch {
		case err != nil:
			return nil, err
		case t == nil && root:
			return nil, unknownConnection(name)
		case t == nil:
			return nil, errs.New(errs.Invalid, "no static role found for role name")
		case root && (t.conn.Username == "" || t.conn.Password == ""):
			return nil, errs.New(errs.Invalid, "unable to rotate root credentials: no username and password in configuration")
		}
		was := t.state.Due
		if err := e.start(ctx, t, req.Time); err != nil {
			return nil, err
		}
		requeue(tx, t.subject, was, t.state.Due)
		operation := "rotate"
		if root {
			operation = "root-rotate"
		}
		emit(tx, req, operation, name)
		return &engine.Response{After: func(ctx context.Context) error { return e.carryOut(ctx, t) }}, t.save(tx)
	}
}

// rotate does all four steps of a subject that is due.
func (e *Engine) rotate(ctx context.Context, due *target) error {
	if due.state.missed(e.cfg.Now()) {
		return e.late(ctx, due)
	}
	if due.state.Pending != "" && e.inForce(ctx, due, loginTimeout) {
		return e.finish(ctx, due, nil) // a crash came between steps 2 and 4
	}
	if due.conn == nil {
		return e.postpone(ctx, due.subject, unknownConnection(due.role.DB))
	}
	var begun *target
	pending := due.state.Pending
	err := e.start(ctx, due, e.cfg.Now()) // asks the database, outside of the transaction
	if err != nil {
		return e.postpone(ctx, due.subject, err)
	}
	err = e.change(ctx, due.subject, func(now *target) (bool, error) {
		begun = nil
		if now.state.Pending != pending || now.conn == nil || now.conn.ID != due.conn.ID && !now.root {
			return false, nil // somebody else is at it, or the ground has moved: next time
		}
		now.state.begin(due.state.Pending, e.cfg.Now())
		begun = now
		return true, nil
	})
	if err != nil || begun == nil {
		return err
	}
	return e.carryOut(ctx, begun)
}

// late is for a schedule whose window has passed: nothing new is begun, and what
// was begun is found out.
func (e *Engine) late(ctx context.Context, due *target) error {
	if due.state.Pending != "" && due.conn != nil {
		return e.carryOut(ctx, due)
	}
	return e.change(ctx, due.subject, func(now *target) (bool, error) {
		now.state.reschedule(e.cfg.Now())
		return true, nil
	})
}

// postpone notes a failure before step 1.
func (e *Engine) postpone(ctx context.Context, s subject, cause error) error {
	err := e.change(context.WithoutCancel(ctx), s, func(now *target) (bool, error) {
		now.state.failed(cause.Error(), false, e.cfg.Now())
		return true, nil
	})
	return errors.Join(cause, err)
}

// workers is how many connections Work attends to at once. Those of one
// connection wait for each other, and after one that found the database down
// the others are put off without asking it.
const workers = 16

// Work implements engine.Worker.
func (e *Engine) Work(ctx context.Context) (time.Time, error) {
	var found *overdue
	find := func(ctx context.Context, tx engine.Tx) (err error) {
		found, err = e.find(ctx, tx, e.cfg.Now())
		return err
	}
	if err := e.cfg.Update(ctx, find); err != nil {
		return time.Time{}, err
	}
	if len(found.now) == 0 {
		return found.next, nil
	}
	byConnection := map[string][]*target{}
	for _, t := range found.now {
		name := t.name
		if t.role != nil {
			name = t.role.DB
		}
		byConnection[name] = append(byConnection[name], t)
	}
	var wait sync.WaitGroup
	slots := make(chan struct{}, workers)
	for name, targets := range byConnection {
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			e.rotateAll(ctx, name, targets)
		})
	}
	wait.Wait()
	if err := ctx.Err(); err != nil {
		return time.Time{}, errs.As(errs.Unavailable, err)
	}
	err := e.cfg.Update(ctx, find)
	if err == nil && len(found.now) > 0 {
		return e.cfg.Now(), nil
	}
	return found.next, err
}

// rotateAll changes the passwords of one connection's subjects, one by one.
func (e *Engine) rotateAll(ctx context.Context, connection string, targets []*target) {
	var down error
	for _, t := range targets {
		if ctx.Err() != nil {
			return
		}
		var err error
		if down != nil {
			err = e.postpone(ctx, t.subject, down)
		} else {
			err = e.rotate(ctx, t)
		}
		if err == nil {
			continue
		}
		e.cfg.Log.Warn("a password was not changed", "of", t.what(), "connection", connection, "error", err)
		if errs.Is(err, errs.Unavailable) {
			down = err
		}
	}
}
