package keeper

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/strongkeep/strongkeep/internal/cron"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// times say when a plan's snapshots are due. What is due follows from when the newest was
// made, so that times that passed while nobody looked count once.
type times struct {
	interval time.Duration
	cron     cron.Schedule                 // if interval is 0
	late     func(time.Time) time.Duration // how much later than cron says this one is due
	longest  time.Duration                 // between two
}

// after is when the snapshot after the one of last is due; the zero time is long past.
func (t *times) after(last time.Time) time.Time {
	switch {
	case last.IsZero():
		return last
	case t.interval > 0:
		return last.Add(t.interval)
	}
	at := t.cron.Next(last)
	return at.Add(t.late(at))
}

func (p *Plan) checkTimes() error {
	if p.Schedule == "" {
		switch {
		case p.Zone != "" || p.Jitter != 0:
			return errs.New(errs.Invalid, "time_zone and jitter go with schedule, not with interval")
		case p.Interval < LeastInterval:
			return errs.Newf(errs.Invalid, "interval: use %s at least, or schedule in place of it", LeastInterval)
		}
		return nil
	}
	if p.Interval != 0 {
		return errs.New(errs.Invalid, "interval and schedule: use one of them")
	}
	c, err := cron.Parse(p.Schedule, p.Zone)
	if err != nil {
		return errs.Newf(errs.Invalid, "schedule: %w", err)
	}
	shortest, _ := c.Gaps()
	switch {
	case shortest == 0:
		return errs.Newf(errs.Invalid, "schedule: cron %q never fires: there is no such date within five years", p.Schedule)
	case p.Jitter < 0 || p.Jitter >= shortest || p.Jitter%time.Second != 0:
		return errs.Newf(errs.Invalid, "jitter: use whole seconds, less than the %s between two snapshots", shortest)
	}
	return nil
}

// times of a plan that was checked.
func (k *Keeper) times(p *Plan) (times, error) {
	if p.Schedule == "" {
		return times{interval: p.Interval, longest: p.Interval}, nil
	}
	c, err := cron.Parse(p.Schedule, p.Zone)
	if err != nil {
		return times{}, err
	}
	seed, err := k.cfg.Keys.Derive("jitter of snapshots")
	if err != nil {
		return times{}, err
	}
	vault := sha256.Sum256(seed.Reveal())
	seed.Wipe()
	_, longest := c.Gaps()
	return times{cron: c, longest: longest + p.Jitter, late: func(at time.Time) time.Duration {
		return spread(p.Jitter, fmt.Appendf(nil, "%x %s %d", vault, p.Name, at.Unix()))
	}}, nil
}

// spread is a time below most, in whole seconds: another for each vault, plan and time,
// and the same on every node of a vault.
func spread(most time.Duration, by []byte) time.Duration {
	if most < time.Second {
		return 0
	}
	sum := sha256.Sum256(by)
	return time.Duration(binary.BigEndian.Uint64(sum[:])%uint64(most/time.Second)) * time.Second
}
