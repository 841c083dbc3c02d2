package alternating

import (
	"context"
	"errors"
	"slices"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

// maxMends bounds how often a role is mended that others turn meanwhile. Then Work does it.
const maxMends = 8

// mend has the database be as the role says, whatever somebody did to it late, and takes back
// mine, the claims of the caller. others are claims of whom nothing is heard. What it does it
// claims first, by run for the first time: Update, or Duty.
func (a *Actor) mend(ctx context.Context, run update, role string, mine, others []*Claim) error {
	ctx = context.WithoutCancel(ctx)
	a.cfg.Log.Warn("somebody acted on an alternating role when it was elsewhere already; the database is made to be as the role says", "role", role)
	for range maxMends {
		j, own, err := a.claimMend(ctx, run, role, mine)
		if err != nil || j == nil {
			return err
		}
		run = a.cfg.Update
		err = j.restore(ctx, slices.Concat(mine, others))
		mine = append(mine, own)
		if err != nil {
			return errors.Join(err, a.leaveAll(ctx, mine))
		}
		if done, err := a.mended(ctx, j.Role, mine); done || err != nil {
			return err
		}
	}
	return a.leaveAll(ctx, mine)
}

// update runs a transaction.
type update func(ctx context.Context, change func(context.Context, engine.Tx) error) error

// claimMend claims what is to be restored; nil: the role is gone.
func (a *Actor) claimMend(ctx context.Context, run update, role string, mine []*Claim) (j *job, own *Claim, err error) {
	err = run(ctx, func(ctx context.Context, tx engine.Tx) error {
		j, own = nil, nil
		now, err := Load(ctx, tx, role)
		if err != nil {
			return err
		}
		if now == nil {
			for _, c := range mine {
				tx.Delete(c.key())
			}
			return nil
		}
		server, policy, err := a.find(ctx, tx, now)
		if err != nil {
			return err
		}
		j = &job{Actor: a, Role: now, server: server, policy: policy}
		own, err = a.Claim(tx, now, a.cfg.Now())
		return err
	})
	return j, own, err
}

// mended takes claims back if the role is still where it was.
func (a *Actor) mended(ctx context.Context, was *Role, mine []*Claim) (done bool, err error) {
	err = a.cfg.Update(ctx, func(ctx context.Context, tx engine.Tx) error {
		now, err := Load(ctx, tx, was.Name)
		if err != nil {
			return err
		}
		if done = now == nil || now.Turn == was.Turn && now.Step == was.Step; done {
			for _, c := range mine {
				tx.Delete(c.key())
			}
		}
		return nil
	})
	return done, err
}

func (a *Actor) leaveAll(ctx context.Context, mine []*Claim) error {
	a.cfg.Wake()
	return a.cfg.Update(ctx, func(_ context.Context, tx engine.Tx) error {
		for _, c := range mine {
			c.Mend = true
			if err := c.leave(tx); err != nil {
				return err
			}
		}
		return nil
	})
}

// restore has each credential work, or not, as the role's step says. Where a step is under way
// whose act decides, it is left to that. Doing it again does no harm.
func (j *job) restore(ctx context.Context, late []*Claim) error {
	open, shut := j.sides()
	for _, c := range open {
		if err := j.revive(ctx, c); err != nil {
			return err
		}
	}
	if shut != nil && j.login(ctx, shut) == nil {
		if err := j.shut(ctx); err != nil {
			return err
		}
	}
	for _, claim := range late {
		for _, c := range claim.Creds {
			if err := j.bury(ctx, &c); err != nil {
				return err
			}
		}
	}
	return nil
}

// sides are the credentials that must log in, and the one that must not; nil = there is none.
func (r *Role) sides() (open []*Credential, shut *Credential) {
	switch r.Step {
	case Closing, Closed, RetiringOld:
		shut = r.Live
	default:
		if r.Live != nil {
			open = append(open, r.Live)
		}
	}
	if r.New != nil && r.New.Proved && r.Step != RetiringNew {
		open = append(open, r.New)
	}
	return open, shut
}

// revive has a credential log in.
func (j *job) revive(ctx context.Context, c *Credential) error {
	err := j.login(ctx, c)
	if err == nil || !errs.Is(err, errs.Invalid) {
		return err
	}
	switch {
	case j.Overlap == Passwords:
		err = j.passwords(ctx, "giving a password back", func(ctx context.Context, db driver.Passwords) error {
			return db.AddPassword(ctx, c.Username, redact.FromString(c.Password))
		})
	case j.Makes() && c.Version > 0:
		err = j.unlock(ctx, c)
	default:
		account := &driver.Account{Username: c.Username, Password: redact.FromString(c.Password), Statements: j.Statements}
		err = j.use(ctx, "setting the password again", func(ctx context.Context, db driver.Database) error { return db.Update(ctx, account) })
		if err == nil {
			err = j.unlock(ctx, c)
		}
	}
	if err != nil {
		return err
	}
	return j.works(ctx, c, "restored")
}

// bury removes a credential that the role has no more, if it works: somebody has made it late. A
// user of that name that a turn is about to make or take is made or taken by it again.
func (j *job) bury(ctx context.Context, c *Credential) error {
	for _, now := range []*Credential{j.Live, j.New} {
		if now != nil && now.Username == c.Username && now.Password == c.Password {
			return nil // whether it works was seen to, or is the present act's
		}
	}
	if err := j.login(ctx, c); err != nil {
		if errs.Is(err, errs.Invalid) {
			return nil
		}
		return err
	}
	return j.remove(ctx, c, "retired")
}
