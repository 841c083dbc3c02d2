package rotation

import (
	"context"
	"errors"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

// rotate does what a subject is due for: all four steps of a change, mostly. Whatever it begins
// it begins by Duty, and what it has begun it brings to its end by Update: that another node does
// the background work by now makes nothing of it undone.
func (r *Rotator) rotate(ctx context.Context, due *Target) error {
	now := r.cfg.Now()
	if pending := due.State.Pending; pending != "" {
		if r.logsIn(ctx, due, pending, driver.LoginTimeout) == nil {
			due.setting = pending
			return r.finish(ctx, due, nil) // a crash came between steps 2 and 4
		}
		return r.takeUp(ctx, due)
	}
	switch {
	case !due.State.comes(now):
		return r.settle(ctx, due)
	case due.State.missed(now):
		return r.late(ctx, due)
	case due.State.busy(now):
		return r.putOff(ctx, due)
	}
	return r.takeUp(ctx, due)
}

// takeUp begins a change, or goes on with the one that was begun.
func (r *Rotator) takeUp(ctx context.Context, due *Target) error {
	pending := due.State.Pending
	if err := r.Start(ctx, due, r.cfg.Now()); err != nil { // asks the database, outside of the transaction
		return r.postpone(ctx, due.Subject, err)
	}
	var begun *Target
	err := r.change(ctx, r.cfg.Duty, due.Subject, func(now *Target) (bool, error) {
		begun = nil
		busy := pending == "" && now.State.busy(r.cfg.Now())
		if busy || now.State.Pending != pending || now.Server.Version() != due.Server.Version() && !now.Root {
			return false, nil // somebody else is at it, or the ground has moved: next time
		}
		now.State.begin(due.setting, due.claims[0], r.cfg.Now())
		now.claimed(due.claims[0], due.setting)
		begun = now
		return true, nil
	})
	if err != nil || begun == nil {
		return err
	}
	return r.CarryOut(ctx, begun)
}

// late is for a schedule whose window has passed: nothing is begun.
func (r *Rotator) late(ctx context.Context, due *Target) error {
	return r.change(ctx, r.cfg.Duty, due.Subject, func(now *Target) (bool, error) {
		now.State.Reschedule(r.cfg.Now())
		return true, nil
	})
}

// putOff has a subject looked at again when who is setting its password has come to an end.
func (r *Rotator) putOff(ctx context.Context, due *Target) error {
	return r.change(ctx, r.cfg.Duty, due.Subject, func(now *Target) (bool, error) {
		now.State.Due = r.cfg.Now().Add(firstTry)
		return true, nil
	})
}

// settle is for claims of whoever was not heard of since: it finds out whether the password that
// counts is still in force, and sets it again if not.
func (r *Rotator) settle(ctx context.Context, due *Target) error {
	counts := due.State.Password
	err := r.logsIn(ctx, due, counts, driver.LoginTimeout)
	if counts != "" && (due.SkipLogin || driver.IsPassword(err)) {
		return r.claimAndRepair(ctx, due.Subject, counts)
	}
	again := r.change(ctx, r.cfg.Duty, due.Subject, func(now *Target) (bool, error) {
		if now.State.Pending == "" {
			now.State.Due = now.State.Next
		}
		now.State.watch(r.cfg.Now())
		return true, nil
	})
	return errors.Join(err, again)
}

func (r *Rotator) claimAndRepair(ctx context.Context, s Subject, counts string) error {
	waiting, cancel := context.WithTimeout(ctx, driver.CallTimeout)
	defer cancel()
	release, err := r.turns.Take(waiting, s)
	if err != nil {
		return err
	}
	defer release()
	id, err := r.id()
	if err != nil {
		return err
	}
	var mine *Target
	err = r.change(ctx, r.cfg.Duty, s, func(now *Target) (bool, error) {
		mine = nil
		if now.State.Pending != "" || now.State.Password != counts {
			return false, nil
		}
		now.State.claim(id, counts, r.cfg.Now())
		now.State.Due = now.State.Next
		now.State.watch(r.cfg.Now())
		now.claimed(id, counts)
		mine = now
		return true, nil
	})
	ctx = context.WithoutCancel(ctx)
	for range maxRepairs {
		if err != nil || mine == nil {
			break
		}
		mine, err = r.repair(ctx, mine)
	}
	return err
}

// postpone notes a failure before step 1.
func (r *Rotator) postpone(ctx context.Context, s Subject, cause error) error {
	err := r.change(context.WithoutCancel(ctx), r.cfg.Duty, s, func(now *Target) (bool, error) {
		now.State.failed(cause.Error(), false, r.cfg.Now())
		return true, nil
	})
	return errors.Join(cause, err)
}

// logsIn proves that the user can log in with a password.
func (r *Rotator) logsIn(ctx context.Context, t *Target, password string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return t.Server.Login(ctx, t.Username, password)
}
