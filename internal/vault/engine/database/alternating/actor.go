package alternating

import (
	"context"
	"errors"
	"strconv"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/rotation"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// Find returns the server of a connection, and by which policy its passwords are
// made; a server that always fails if it is not configured.
type Find func(ctx context.Context, tx engine.Tx, r *Role) (server rotation.Server, policy string, err error)

// Actor carries out what is announced, in one mount. It may be used concurrently:
// one at a time acts on a role.
type Actor struct {
	cfg   engine.Config
	find  Find
	turns rotation.Turns[string]
}

// New returns an actor on the roles of one mount.
func New(cfg engine.Config, find Find) *Actor { return &Actor{cfg: cfg, find: find} }

// Draw makes the password of a turn that Ask has begun.
func (a *Actor) Draw(ctx context.Context, r *Role, policy string) error {
	password, err := a.cfg.Password(ctx, policy)
	if err != nil {
		return errs.Newf(errs.KindOf(err), "making a password: %w", err)
	}
	drawn := *r.New
	drawn.Password = password.RevealString()
	r.New = &drawn
	return nil
}

// Options are how a step is carried out.
type Options struct {
	KeepSessions bool // Retire: do not end the sessions of a user who stays
}

// CarryOut does what a role's Step announces, and stores that it is done; r is the
// role as it was committed, together with the claim c. Whoever comes late finds it done, or
// overtaken; who was overtaken while at it mends what it has spoilt. Kinds
// of errors: Invalid, the database refuses it, and a person must look; Unavailable,
// ask again; Conflict, another act came between.
func (a *Actor) CarryOut(ctx context.Context, r *Role, c *Claim, o Options) error {
	a.cfg.Wake() // Work has to know of the claim, should this node end here
	waiting, cancel := context.WithDeadline(ctx, c.until)
	defer cancel()
	release, err := a.turns.Take(waiting, r.Name)
	if err != nil {
		return errors.Join(err, a.withdraw(ctx, c))
	}
	defer release()
	j, done, err := a.job(waiting, r, c)
	if err == nil && !done && waiting.Err() != nil {
		err = errs.Newf(errs.Unavailable, "it was not done in time: %w", waiting.Err())
	}
	if err != nil || done {
		return errors.Join(err, a.withdraw(ctx, c))
	}
	j.keep = o.KeepSessions
	return a.finish(context.WithoutCancel(ctx), r, c, j.do(ctx))
}

// job reads what is stored, for it may have changed since r was. Without its claim nobody acts.
func (a *Actor) job(ctx context.Context, r *Role, c *Claim) (*job, bool, error) {
	j := &job{Actor: a}
	done := false
	err := a.cfg.Update(ctx, func(ctx context.Context, tx engine.Tx) error {
		now, err := Load(ctx, tx, r.Name)
		if err != nil {
			return err
		}
		if done, err = r.overtaken(now); err != nil || done {
			return err
		}
		mine, err := tx.Get(ctx, c.key())
		if err != nil {
			return err
		}
		if !mine.Exists() {
			return errs.Newf(errs.Unavailable, "it was not done in time: the claim on the alternating role %q was forgotten", r.Name)
		}
		j.Role = now
		j.server, j.policy, err = a.find(ctx, tx, now)
		return err
	})
	return j, done, err
}

// overtaken reports whether what r announces was done by somebody else; the error
// says that something else came between.
func (r *Role) overtaken(now *Role) (done bool, err error) {
	then, _ := r.Step.carriedOut()
	switch {
	case now == nil:
		return false, errs.Newf(errs.NotExist, "the alternating role %q was deleted before this was done", r.Name)
	case now.Turn == r.Turn && now.Step == r.Step:
		return false, nil
	case now.Turn == r.Turn && now.Step == then:
		return true, nil
	}
	return false, errs.Newf(errs.Conflict, "another act came between on the alternating role %q, which is at %s now", r.Name, now.Describe())
}

// finish stores what came of a step, and takes the claim on it back if that is certain. It returns cause.
func (a *Actor) finish(ctx context.Context, r *Role, c *Claim, cause error) error {
	late, between, err := a.conclude(ctx, r, c, cause)
	switch {
	case err != nil || !late:
	case certain(cause):
		err = a.mend(ctx, a.cfg.Update, r.Name, []*Claim{c}, nil)
	default:
		err = a.mend(ctx, a.cfg.Update, r.Name, nil, []*Claim{c})
	}
	return errors.Join(cause, between, err)
}

// conclude is the commit of finish; late: the database may not be as the role says. The claim is
// left to mend then, if what it is on has ended.
func (a *Actor) conclude(ctx context.Context, r *Role, c *Claim, cause error) (late bool, between, err error) {
	err = a.cfg.Update(ctx, func(ctx context.Context, tx engine.Tx) error {
		now, err := Load(ctx, tx, r.Name)
		if err != nil {
			return err
		}
		var done bool
		done, between = r.overtaken(now)
		// A try that failed may have spoilt what another one has done.
		late = now != nil && (between != nil || done && cause != nil)
		if late && certain(cause) {
			return nil
		}
		if err := c.end(tx, cause); err != nil || late || done || now == nil {
			return err
		}
		changed := *now
		if cause != nil {
			changed.Error = cause.Error()
		} else {
			changed.finish(a.cfg.Now())
		}
		return changed.Save(tx)
	})
	return late, between, err
}

// end takes a claim back, unless what it is on may still be under way in the database.
func (c *Claim) end(tx engine.Tx, cause error) error {
	if !certain(cause) {
		return c.leave(tx)
	}
	tx.Delete(c.key())
	return nil
}

// certain reports whether nothing of what ended so is still to be done by the database.
func certain(cause error) bool {
	return cause == nil || errs.Is(cause, errs.Invalid) || errs.Is(cause, errs.NotExist)
}

// job is one step of one role, as stored. Its Role is not to be changed.
type job struct {
	*Actor
	*Role
	server rotation.Server
	policy string
	keep   bool
}

func (j *job) do(ctx context.Context) error {
	switch j.Step {
	case Staging:
		return j.make(ctx)
	case Closing:
		return j.shut(ctx)
	case Reopening:
		return j.open(ctx)
	case RetiringOld:
		return j.remove(ctx, j.Live, "old")
	case RetiringNew:
		return j.discard(ctx)
	}
	return nil
}

// use calls f with the database.
func (j *job) use(ctx context.Context, doing string, f func(context.Context, driver.Database) error) error {
	if err := j.server.Use(ctx, driver.CallTimeout, f); err != nil {
		return errs.Newf(errs.KindOf(err), "%s: %w", doing, err)
	}
	return nil
}

// keeper calls f with the database's power to lock users.
func (j *job) keeper(ctx context.Context, doing string, f func(context.Context, driver.Gatekeeper) error) error {
	return j.use(ctx, doing, func(ctx context.Context, db driver.Database) error {
		power, ok := db.(driver.Gatekeeper)
		if !ok {
			return Unable(Users)
		}
		return f(ctx, power)
	})
}

// passwords calls f with the database's power to give a user two passwords.
func (j *job) passwords(ctx context.Context, doing string, f func(context.Context, driver.Passwords) error) error {
	return j.use(ctx, doing, func(ctx context.Context, db driver.Database) error {
		power, ok := db.(driver.Passwords)
		if !ok {
			return Unable(Passwords)
		}
		return f(ctx, power)
	})
}

// Unable is the error of kind Invalid for a database that does not have an overlap.
func Unable(o Overlap) error {
	if o == Passwords {
		return errs.New(errs.Invalid, "this kind of database gives a user one password only, as far as is built in (Redis and Valkey can have several): name two users that alternate, with overlap=users")
	}
	return errs.New(errs.Invalid, "this kind of database cannot lock users: alternating roles need that, to close the old one reversibly")
}

// Able reports, as an error of kind Invalid, whether a database can have an overlap.
func Able(db driver.Database, o Overlap) error {
	_, locks := db.(driver.Gatekeeper)
	_, several := db.(driver.Passwords)
	if o == Passwords && !several || o == Users && !locks {
		return Unable(o)
	}
	return nil
}

// make is Staging.
func (j *job) make(ctx context.Context) error {
	password := redact.FromString(j.New.Password)
	err := j.ordinary(ctx)
	if err != nil {
		return err
	}
	switch {
	case j.Overlap == Passwords:
		err = j.passwords(ctx, "adding the new password", func(ctx context.Context, db driver.Passwords) error {
			return db.AddPassword(ctx, j.New.Username, password)
		})
	case j.Makes():
		err = j.create(ctx, j.New)
	default:
		account := &driver.Account{Username: j.New.Username, Password: password, Statements: j.Statements}
		err = j.use(ctx, "setting the new password", func(ctx context.Context, db driver.Database) error { return db.Update(ctx, account) })
		if err == nil {
			err = j.keeper(ctx, "letting the new user in", func(ctx context.Context, db driver.Gatekeeper) error { return db.Unlock(ctx, j.New.Username) })
		}
	}
	if err != nil {
		return err
	}
	return j.works(ctx, j.New, "new")
}

// ordinary refuses users, of those who are there, who may do everything on the
// server: to lock one out may be to lock out who would mend it.
func (j *job) ordinary(ctx context.Context) error {
	if j.Makes() {
		return nil
	}
	return j.use(ctx, "looking at the users", func(ctx context.Context, db driver.Database) error {
		ranker, ok := db.(driver.Ranker)
		if !ok {
			return nil
		}
		for _, username := range j.Usernames {
			rules, err := ranker.Rules(ctx, username)
			switch {
			case errs.Is(err, errs.NotExist): // which the next statement says
			case err != nil:
				return err
			case rules:
				return errs.Newf(errs.Invalid, "the user %q may do everything on this server, and such a one is not turned: name users with the rights that the application needs, or change the password by a static role", username)
			}
		}
		return nil
	})
}

// create makes a user. One of that name is ours if it logs in with the
// password that nobody else knows: then a try was broken off, perhaps by half, and
// it is made anew. Any other is somebody's, and stays.
func (j *job) create(ctx context.Context, c *Credential) error {
	const doing = "making the new user"
	account := &driver.Account{Username: c.Username, Password: redact.FromString(c.Password), Statements: j.Creation}
	create := func(ctx context.Context, db driver.Database) error { return db.Create(ctx, account) }
	err := j.use(ctx, doing, create)
	if !errs.Is(err, errs.Invalid) || j.login(ctx, c) != nil {
		return err
	}
	if err := j.drop(ctx, c); err != nil {
		return err
	}
	return j.use(ctx, doing, create)
}

func (j *job) drop(ctx context.Context, c *Credential) error {
	account := &driver.Account{Username: c.Username, Statements: j.Revocation}
	return j.use(ctx, "removing the user", func(ctx context.Context, db driver.Database) error { return db.Delete(ctx, account) })
}

func (j *job) login(ctx context.Context, c *Credential) error {
	ctx, cancel := context.WithTimeout(ctx, driver.LoginTimeout)
	defer cancel()
	return j.server.Login(ctx, c.Username, c.Password)
}

// works proves a credential by a login.
func (j *job) works(ctx context.Context, c *Credential, which string) error {
	if err := j.login(ctx, c); err != nil {
		return errs.Newf(errs.KindOf(err), "the database did what was asked, but a login with the %s credential fails: %w", which, err)
	}
	return nil
}

// refused proves that a credential does not work. That the database cannot be
// asked proves nothing.
func (j *job) refused(ctx context.Context, c *Credential, which string) error {
	err := j.login(ctx, c)
	switch {
	case err == nil:
		return errs.Newf(errs.Invalid, "the database did what was asked, but a login with the %s credential still succeeds: look at how it decides on logins (pg_hba.conf with trust, a user without a password, a proxy in between)", which)
	case errs.Is(err, errs.Invalid):
		return nil
	}
	return errs.Newf(errs.KindOf(err), "proving that the %s credential does not log in any more: %w", which, err)
}

// shut is Closing.
func (j *job) shut(ctx context.Context) error {
	if err := j.lock(ctx, j.Live); err != nil && !(j.Makes() && errs.Is(err, errs.NotExist)) { // what is not there is made by reopen
		return err
	}
	return j.refused(ctx, j.Live, "old")
}

// lock keeps a credential from logging in, reversibly.
func (j *job) lock(ctx context.Context, c *Credential) error {
	if j.Overlap == Passwords {
		return j.passwords(ctx, "taking a password away", func(ctx context.Context, db driver.Passwords) error {
			return db.RemovePassword(ctx, c.Username, redact.FromString(c.Password))
		})
	}
	return j.keeper(ctx, "locking the user", func(ctx context.Context, db driver.Gatekeeper) error { return db.Lock(ctx, c.Username) })
}

// open is Reopening.
func (j *job) open(ctx context.Context) error {
	var err error
	if j.Overlap == Passwords {
		err = j.passwords(ctx, "giving the old password back", func(ctx context.Context, db driver.Passwords) error {
			return db.AddPassword(ctx, j.Live.Username, redact.FromString(j.Live.Password))
		})
	} else {
		err = j.unlock(ctx, j.Live)
	}
	if err != nil {
		return err
	}
	return j.works(ctx, j.Live, "old")
}

// unlock lets a user in. One that turns make, and that somebody has dropped late, is made anew.
func (j *job) unlock(ctx context.Context, c *Credential) error {
	err := j.keeper(ctx, "letting the user in", func(ctx context.Context, db driver.Gatekeeper) error { return db.Unlock(ctx, c.Username) })
	if errs.Is(err, errs.NotExist) && j.Makes() && c.Version > 0 {
		return j.create(ctx, c)
	}
	return err
}

// discard is RetiringNew. A new credential that never came into being has nothing
// to be removed, and a user of that name may be somebody's. That it is ours is
// stored before it is touched: who is locked may look like who is not there.
func (j *job) discard(ctx context.Context) error {
	if !j.New.Proved {
		err := j.login(ctx, j.New)
		switch {
		case driver.IsPassword(err):
			return nil
		case err != nil && (j.Makes() || !errs.Is(err, errs.Invalid)): // the right password, and yet no login: who is there may be locked
			return errs.Newf(errs.KindOf(err), "finding out whether the new credential exists: %w", err)
		}
		if err := j.prove(ctx); err != nil {
			return err
		}
	}
	return j.remove(ctx, j.New, "new")
}

// prove notes that the new credential was made.
func (j *job) prove(ctx context.Context) error {
	return j.cfg.Update(ctx, func(ctx context.Context, tx engine.Tx) error {
		now, err := Load(ctx, tx, j.Name)
		if err != nil {
			return err
		}
		if done, err := j.overtaken(now); err != nil || done {
			return err
		}
		changed := *now
		changed.New = changed.New.proved()
		return changed.Save(tx)
	})
}

// remove takes a credential away for good: first its login, so that nothing that
// fails later leaves it working, then its sessions, then the user or its password.
func (j *job) remove(ctx context.Context, c *Credential, which string) error {
	err := j.lock(ctx, c)
	if err == nil && j.Overlap == Users {
		err = j.scrap(ctx, c)
	}
	if err != nil && !errs.Is(err, errs.NotExist) { // who is not there is removed
		return err
	}
	return j.refused(ctx, c, which)
}

// scrap ends a locked user's sessions, and drops it, or leaves it a password that
// nobody knows.
func (j *job) scrap(ctx context.Context, c *Credential) error {
	if !j.keep {
		err := j.keeper(ctx, "ending sessions", func(ctx context.Context, db driver.Gatekeeper) error { return db.EndSessions(ctx, c.Username) })
		if err != nil {
			return err
		}
	}
	if j.Makes() {
		return j.drop(ctx, c)
	}
	password, err := j.cfg.Password(ctx, j.policy)
	if err != nil {
		return errs.Newf(errs.KindOf(err), "making a password: %w", err)
	}
	account := &driver.Account{Username: c.Username, Password: password, Statements: j.Statements}
	return j.use(ctx, "overwriting the password", func(ctx context.Context, db driver.Database) error { return db.Update(ctx, account) })
}
