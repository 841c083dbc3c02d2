package seal

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/seal/rootkey"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// How often each unseal key is tried: the one that stopped working is known before the start that
// needs it. One that fails is tried again sooner.
const (
	TryEvery = time.Hour
	tryAgain = 5 * time.Minute
)

// keep runs while the vault is unsealed, on each node, since each reaches key stores by its own way:
// it wraps the root key by configured keys that are new, tries every one, and follows what other nodes do
// with the configuration.
func (b *Barrier) keep(ctx context.Context, s *session) {
	for ctx.Err() == nil {
		failing := b.lookAt(ctx, s)
		if err := b.remember(ctx, s); err != nil && ctx.Err() == nil {
			s.log.WarnContext(ctx, "noting when unseal keys worked", "error", err)
		}
		wait := TryEvery
		if failing {
			wait = tryAgain
		}
		s.idle(ctx, wait)
	}
}

// idle returns after so long, when it is time to look, or when another node has changed the configuration.
func (s *session) idle(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	var changes <-chan store.Event // nil = never
	w, err := s.store.Watch(ctx, ConfigKey, 0)
	if err == nil {
		defer w.Close()
		changes = w.Events()
		s.reread(ctx) // what was written before the watch listened
	} else if ctx.Err() == nil {
		s.log.WarnContext(ctx, "following the seal configuration", "error", err)
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-s.look:
			return
		case ev, ok := <-changes:
			if !ok {
				changes = nil // until the next look
			} else if touches(ev, ConfigKey) {
				s.reread(ctx)
			}
		}
	}
}

// reread takes over what another node may have made of the configuration.
func (s *session) reread(ctx context.Context) {
	err := s.amend(ctx, func(*rootkey.Config) (bool, error) { return false, nil })
	if err != nil && ctx.Err() == nil {
		s.log.WarnContext(ctx, "following the seal configuration", "error", err)
	}
}

// lookAt tries each configured key, all at once, and wraps the root key by those that are new. It
// reports whether one of them failed.
func (b *Barrier) lookAt(ctx context.Context, s *session) (failing bool) {
	keys := b.keysOf()
	failed := make([]bool, len(keys))
	var all sync.WaitGroup
	for i, by := range keys {
		all.Go(func() { failed[i] = b.tend(ctx, s, by) != nil })
	}
	all.Wait()
	return slices.Contains(failed, true)
}

// tend tries one key, or wraps the root key by it.
func (b *Barrier) tend(ctx context.Context, s *session, by Named) error {
	c := s.config.Load()
	at := slices.IndexFunc(c.Wrappings, by.Opens)
	w := rootkey.Wrapping{Kind: by.Name(), KeyID: by.KeyID()}
	var err error
	if at >= 0 {
		w = c.Wrappings[at]
		err = s.try(ctx, by, w)
	} else {
		err = s.wrap(ctx, by)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	b.mu.Lock()
	before := b.health[w.ID()].Err
	b.mu.Unlock()
	b.note(w, err)
	switch {
	case err != nil && before == nil:
		s.log.ErrorContext(ctx, "an unseal key does not work: the next start may not open the vault by it", "name", by.As, "error", err)
	case err == nil && at < 0:
		s.log.InfoContext(ctx, "the vault now opens by another unseal key too", "name", by.As, "kind", w.Kind)
	case err == nil && before != nil:
		s.log.InfoContext(ctx, "an unseal key works again", "name", by.As)
	}
	return err
}

// try has by open what it has wrapped.
func (s *session) try(ctx context.Context, by Named, w rootkey.Wrapping) error {
	root, err := by.Unwrap(ctx, w.AAD(s.vault), w.Blob)
	if err != nil {
		return err
	}
	defer root.Wipe()
	if !root.Equal(s.key) {
		return errs.Newf(errs.Internal, "%s key %q unwraps something else than this vault's root key", w.Kind, w.KeyID)
	}
	return nil
}

// wrap adds a wrapping by a new key, proved before it is written.
func (s *session) wrap(ctx context.Context, by Named) error {
	w, err := rootkey.WrapBy(ctx, by, s.vault, s.key, s.now().UTC().Truncate(time.Second))
	if err != nil {
		return err
	}
	return s.amend(ctx, func(c *rootkey.Config) (bool, error) {
		if slices.ContainsFunc(c.Wrappings, by.Opens) {
			return false, nil // another node was faster
		}
		c.Wrappings = append(c.Wrappings, w)
		return true, nil
	})
}
