package kms

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

const (
	// again is the least time between two questions for versions that are not known.
	again = time.Second
	// eager is Poll at most until the store has worked once: nothing works before.
	eager = 2 * time.Second
	// trial is what a version gets that is not active: to wrap, and to unwrap, each as
	// long as an API server waits for a call.
	trial = 6 * time.Second
	// least is between two polls, where the clock is set back while one is waited for.
	least = 10 * time.Millisecond
)

// Run asks the store until ctx ends: at once, each Poll, and when a version becomes
// active. It is called once: when it returns, nothing of the plugin asks the store, and
// what would is refused.
func (p *Plugin) Run(ctx context.Context) {
	defer p.flights.land()
	for {
		err := p.Look(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			p.cfg.Log.WarnContext(ctx, "the key store did not answer as it should", "error", err)
		}
		wait := time.NewTimer(p.wait(time.Now()))
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return
		}
	}
}

// wait is how long until the store is to be asked again. A version whose time has
// come and that could not be turned to waits for the next poll.
func (p *Plugin) wait(now time.Time) time.Duration {
	s := p.state.Load()
	if s == nil || !s.told() {
		return min(p.cfg.Poll, eager)
	}
	if due := p.rules.due(s, now); !due.IsZero() {
		return max(min(p.cfg.Poll, due.Sub(now)), least)
	}
	return p.cfg.Poll
}

// Look asks the store once for its versions, and has it wrap and unwrap with the
// active one and with those that are to become so. What it said of versions holds
// from then on, also if it does not wrap. Only Run calls it, and tests.
func (p *Plugin) Look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Poll)
	defer cancel()
	now := time.Now()
	if err := p.learn(ctx); err != nil {
		return p.missed(err)
	}
	s := p.state.Load()
	if s.lost != nil {
		return s.lost
	}
	if p.cfg.Known != "" && s.index(p.cfg.Known) < 0 {
		p.cfg.Log.WarnContext(ctx, "no version of the key has the key id of known_key_id any more: tell another one before the plugin is started again", "known_key_id", p.cfg.Known, "key_id", s.current().keyID)
	}
	return p.prove(ctx, s, now)
}

// learn asks the store for the key's versions. Concurrent callers share one question,
// so that no answer is followed by an older one.
func (p *Plugin) learn(ctx context.Context) error {
	return p.share(ctx, "versions", func(ctx context.Context) error {
		h, err := p.cfg.Key.History(ctx)
		if err == nil && len(h.Versions) == 0 {
			err = errs.New(errs.Internal, "the key store says that the key has no version")
		}
		if err != nil {
			return fmt.Errorf("asking for the key's versions: %w", err)
		}
		p.swap(func(old *state) *state { return p.rules.next(old, h, time.Now()) })
		return nil
	})
}

// share does f once for all who want it at once, with Poll's time.
func (p *Plugin) share(ctx context.Context, name string, f func(context.Context) error) error {
	return p.flights.share(ctx, name, p.cfg.Poll, func(ctx context.Context) error { return p.guard(ctx, func() error { return f(ctx) }) })
}

// guard turns a panic of the key store's into an error, which tells API servers nothing
// of it.
func (p *Plugin) guard(ctx context.Context, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			p.cfg.Log.ErrorContext(ctx, "asking the key store", "error", errs.Panicked(v))
			err = errs.New(errs.Internal, "asking the key store panicked: the plugin's log has more")
		}
	}()
	return f()
}

// swap replaces the state and returns the new one.
func (p *Plugin) swap(next func(old *state) *state) *state {
	p.turns.Lock()
	defer p.turns.Unlock()
	s := next(p.state.Load())
	p.state.Store(s)
	return s
}

// prove tries the active version, which decides about health; where it does not work
// and older may be, those; and then all that wait: who is due becomes active if it
// works, and holds up nothing if it does not.
func (p *Plugin) prove(ctx context.Context, s *state, now time.Time) error {
	var failures []error
	works := func(i int, most time.Duration) bool {
		v := &s.versions[i]
		if !v.Wraps {
			return false
		}
		ctx, cancel := context.WithTimeout(ctx, most)
		defer cancel()
		err := p.guard(ctx, func() error { return p.try(ctx, v) })
		if err != nil {
			failures = append(failures, fmt.Errorf("trying version %q of the key: %w", v.ID, err))
		}
		return err == nil
	}
	use := func(i int) bool { p.turn(ctx, &s.versions[i], now); return true }
	due, most := p.rules.choose(s, now), min(trial, p.cfg.Poll/4)
	well := works(s.active, p.cfg.Poll/2) && use(s.active)
	for i := s.active - 1; !well && i >= p.rules.oldest(s, now, p.cfg.StaleAfter); i-- {
		well = works(i, most) && use(i)
	}
	for i := len(s.versions) - 1; i > s.active; i-- {
		if works(i, most) && i == due {
			well = use(i)
		}
	}
	err := errors.Join(failures...)
	if !well {
		return p.missed(err)
	}
	return err
}

// try wraps and unwraps something that is no secret.
func (p *Plugin) try(ctx context.Context, v *version) error {
	probe := redact.FromString("strongkeep kms probe, no secret.")
	blob, err := p.cfg.Key.WrapAs(ctx, v.ID, v.aad, probe)
	if err != nil {
		return err
	}
	back, err := p.cfg.Key.Unwrap(ctx, v.aad, blob)
	if err == nil && !back.Equal(probe) {
		err = errs.New(errs.Internal, "the key store does not give back what it was given")
	}
	return err
}

// turn makes a version that works the active one, if the store still has it.
func (p *Plugin) turn(ctx context.Context, v *version, now time.Time) {
	var was string
	s := p.swap(func(old *state) *state {
		i := old.index(v.keyID)
		if old.lost != nil || i < 0 {
			return old
		}
		if old.told() {
			was = old.current().keyID
		}
		s := *old
		s.active, s.looked, s.failed = i, now, nil
		return &s
	})
	if id := s.current().keyID; id == v.keyID && was != id {
		p.cfg.Log.InfoContext(ctx, "a version of the key is active", "key_id", id, "version", v.ID)
	}
}

// inUse notes that something was opened under a version before any is active here:
// another node writes with it, or this one did before it was started.
func (p *Plugin) inUse(v *version) {
	if p.state.Load().told() {
		return
	}
	p.swap(func(old *state) *state {
		if old.index(v.keyID) <= old.index(old.floor) {
			return old
		}
		s := *old
		s.floor = v.keyID
		return &s
	})
}

// missed notes a contact that failed.
func (p *Plugin) missed(err error) error {
	if p.state.Load() == nil {
		p.first.Store(&err)
		return err
	}
	p.swap(func(old *state) *state {
		s := *old
		s.failed = err
		return &s
	})
	return err
}

// version returns a version that the store has, nil for none. One that is not known
// here has the store asked: another node may be ahead. All who wait for that share
// one question, and who comes within a second of it has to come again: kind
// Unavailable.
func (p *Plugin) version(ctx context.Context, id string) (*version, error) {
	s := p.state.Load()
	if s == nil {
		return nil, p.never()
	}
	if v := s.find(id); v != nil {
		return v, nil
	}
	err := p.share(ctx, "a version", func(ctx context.Context) error {
		now := time.Now()
		if !p.asked.IsZero() && now.Sub(p.asked) < again {
			return errs.New(errs.Unavailable, "the version of the key is not known here, and the key store was asked for others just now: try again in a second")
		}
		p.asked = now
		return p.learn(ctx)
	})
	if v := p.state.Load().find(id); v != nil {
		return v, nil
	}
	return nil, err
}
