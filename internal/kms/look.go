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
	// least is between two polls, where the clock is set back while one is waited for.
	least = 10 * time.Millisecond
)

// Run asks the store until ctx ends: at once, each Poll, and when a version becomes
// active.
func (p *Plugin) Run(ctx context.Context) {
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

// share does f once for all who want it at once. Its time is Poll, whatever time they
// have: none of them ends it for the others.
func (p *Plugin) share(ctx context.Context, name string, f func(context.Context) error) error {
	done := p.flight.DoChan(name, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.cfg.Poll)
		defer cancel()
		return nil, f(ctx)
	})
	select {
	case r := <-done:
		return r.Err
	case <-ctx.Done():
		return errs.Newf(errs.Unavailable, "waiting for the key store: %w", ctx.Err())
	}
}

// swap replaces the state and returns the new one.
func (p *Plugin) swap(next func(old *state) *state) *state {
	p.turns.Lock()
	defer p.turns.Unlock()
	s := next(p.state.Load())
	p.state.Store(s)
	return s
}

// prove tries the active version and all that wait. The active one decides about
// health; who is due becomes active if it works, and holds up nothing if it does not.
func (p *Plugin) prove(ctx context.Context, s *state, now time.Time) error {
	due, works := p.rules.choose(s, now), -1
	var failures []error
	for i := s.active; i < len(s.versions); i++ {
		v := &s.versions[i]
		if !v.Wraps {
			continue
		}
		if err := p.try(ctx, v); err != nil {
			failures = append(failures, fmt.Errorf("trying version %q of the key: %w", v.ID, err))
		} else if i == s.active || i == due {
			works = i
		}
	}
	err := errors.Join(failures...)
	if works < 0 {
		return p.missed(err)
	}
	p.turn(ctx, &s.versions[works], now)
	return err
}

// try wraps and unwraps something that is no secret.
func (p *Plugin) try(ctx context.Context, v *version) error {
	probe := redact.FromString("strongkeep kms probe, no secret.")
	blob, err := p.cfg.Key.WrapAs(ctx, v.ID, aad(v.keyID), probe)
	if err != nil {
		return err
	}
	back, err := p.cfg.Key.Unwrap(ctx, aad(v.keyID), blob)
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
