package seal

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/seal/rootkey"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Health is what this node found when it last used one of its unseal keys.
type Health struct {
	Tried time.Time
	Err   error     // nil = it works
	Since time.Time // of the first of the failures that have not ended; zero if it works
}

// Info is one way to open the vault, or a configured key that will be one. It holds nothing secret.
type Info struct {
	Name       string
	Kind       string // KindShamir, or a Wrapper's Name
	KeyID      string
	Added      time.Time // zero = before such times were kept
	Worked     time.Time // when it last opened something, on any node; zero = that is unknown
	Wrapped    bool      // the root key is wrapped by it
	Configured bool      // this node has the key
	Health     Health    // on this node, since it was unsealed
}

// keysOf returns the configured keys.
func (b *Barrier) keysOf() []Named {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.wrappers)
}

// SetWrappers replaces the configured keys. Migrate, or the next look at the seals, wraps the root
// key by those that are new; what keys that are gone have wrapped stays until Forget.
func (b *Barrier) SetWrappers(all []Wrapper) {
	b.mu.Lock()
	b.wrappers = rootkey.AllNamed(all)
	s := b.session
	b.mu.Unlock()
	if s != nil {
		select {
		case s.look <- struct{}{}:
		default: // it has been told already
		}
	}
}

// Seals lists everything that opens the vault, the shares first, and the keys of this node that
// will when it is unsealed. Kinds: Sealed (not initialised), Unavailable.
func (b *Barrier) Seals(ctx context.Context) ([]Info, error) {
	var c rootkey.Config
	worked := map[string]time.Time{}
	if s := b.current(); s != nil {
		c = *s.config.Load()
	} else {
		var err error
		if c, err = b.config(ctx); err != nil {
			return nil, err
		}
		// Without the record the list is as true, and says less.
		worked, _, _ = rootkey.ReadWorked(ctx, b.store)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, at := range b.worked {
		worked[id] = rootkey.Latest(worked[id], at)
	}
	keys := slices.Clone(b.wrappers)
	var all []Info
	for _, w := range c.Wrappings {
		i := Info{Name: w.Called(), Kind: w.Kind, KeyID: w.KeyID, Added: w.Added, Worked: worked[w.ID()], Wrapped: true, Health: b.health[w.ID()]}
		if at := slices.IndexFunc(keys, func(n Named) bool { return n.Opens(w) }); at >= 0 {
			i.Configured, i.Name = true, keys[at].As
			keys = slices.Delete(keys, at, at+1)
		}
		all = append(all, i)
	}
	for _, n := range keys {
		w := rootkey.Wrapping{Kind: n.Name(), KeyID: n.KeyID()}
		all = append(all, Info{Name: n.As, Kind: w.Kind, KeyID: w.KeyID, Configured: true, Health: b.health[w.ID()]})
	}
	return all, nil
}

// note keeps what came of using the key of w.
func (b *Barrier) note(w rootkey.Wrapping, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.session != nil {
		b.noteLocked(w, err)
	}
}

func (b *Barrier) noteLocked(w rootkey.Wrapping, err error) {
	now := b.now().UTC()
	h := Health{Tried: now, Err: err}
	if err != nil {
		h.Since = cmp.Or(b.health[w.ID()].Since, now)
	} else {
		b.worked[w.ID()] = now
	}
	b.health[w.ID()] = h
}

// WorkedKey is where storage has when each wrapping last opened something.
const WorkedKey = rootkey.WorkedKey

// remember brings what storage knows of what worked together with what this node knows. Nodes that start
// together write it together.
func (b *Barrier) remember(ctx context.Context, s *session) error {
	err := errs.New(errs.Conflict, "not tried yet")
	for n := 0; n < attempts && errs.Is(err, errs.Conflict); n++ {
		err = b.rememberOnce(ctx, s)
	}
	return err
}

func (b *Barrier) rememberOnce(ctx context.Context, s *session) error {
	stored, revision, err := rootkey.ReadWorked(ctx, s.store)
	if err != nil {
		return err
	}
	c := s.config.Load()
	merged, newer := map[string]time.Time{}, false
	b.mu.Lock()
	for _, w := range c.Wrappings {
		at := rootkey.Latest(stored[w.ID()], b.worked[w.ID()]).Truncate(time.Second)
		if at.IsZero() {
			continue
		}
		newer = newer || at.After(stored[w.ID()])
		merged[w.ID()] = at
	}
	for id, at := range merged {
		b.worked[id] = rootkey.Latest(b.worked[id], at)
	}
	b.mu.Unlock()
	if !newer {
		return nil
	}
	return rootkey.WriteWorked(ctx, s.store, merged, revision)
}

// amend changes the stored configuration in one commit, guarded by what change saw. change may be
// called several times; if it returns false it has changed nothing, and nothing is written.
func (s *session) amend(ctx context.Context, change func(c *rootkey.Config) (bool, error)) error {
	for range attempts {
		e, err := s.store.Get(ctx, ConfigKey)
		if err != nil {
			return fmt.Errorf("reading the seal configuration: %w", err)
		}
		c, err := rootkey.Decode(e.Value)
		if err != nil {
			return err
		}
		if c.VaultID != s.vault {
			return errs.New(errs.Internal, "the stored seal configuration is that of another vault: seal this one and look at its storage")
		}
		changed, err := change(&c)
		if err != nil {
			return err
		}
		if !changed {
			s.config.Store(&c)
			return nil
		}
		encoded, err := c.Encode()
		if err != nil {
			return err
		}
		_, err = s.store.Apply(ctx, store.Put(ConfigKey, encoded).If(e.Revision))
		switch {
		case err == nil:
			c.Version = rootkey.Version
			s.config.Store(&c)
			return nil
		case !errs.Is(err, errs.Conflict):
			return fmt.Errorf("writing the seal configuration: %w", err)
		}
	}
	return errs.New(errs.Conflict, "writing the seal configuration: others kept writing it, try again")
}

// Migrate wraps the root key by the configured keys that have not wrapped it yet, and tries the
// others. It returns the seals as they are then; what went wrong is in their Health. Kinds: Sealed, Unavailable.
func (b *Barrier) Migrate(ctx context.Context) ([]Info, error) {
	s := b.current()
	if s == nil {
		return nil, errSealed
	}
	if err := s.amend(ctx, func(*rootkey.Config) (bool, error) { return false, nil }); err != nil {
		return nil, err
	}
	b.lookAt(ctx, s)
	return b.Seals(ctx)
}

// Forget removes what a key has wrapped, or keys of one name have. keyID "" means all of the name
// that this node does not have. One of those that stay has to open the vault now, unless sharesOnly says that people
// shall open it alone. Kinds: Sealed, NotExist, Invalid (it is configured, or the last that works), Unavailable.
func (b *Barrier) Forget(ctx context.Context, name, keyID string, sharesOnly bool) error {
	s := b.current()
	if s == nil {
		return errSealed
	}
	b.lookAt(ctx, s)
	seals, err := b.Seals(ctx)
	if err != nil {
		return err
	}
	gone, works := map[string]bool{}, map[string]bool{} // by rootkey.Wrapping.id
	configured := false
	for _, i := range seals {
		id := i.Kind + ":" + i.KeyID
		works[id] = i.Works()
		if i.meant(name, keyID) {
			configured = configured || i.Configured
			gone[id] = !i.Configured
		}
	}
	switch {
	case len(gone) == 0:
		return errs.Newf(errs.NotExist, "there is no unseal key %q that wraps the root key: strongkeep operator seals lists them", name)
	case configured && !slices.Contains(slices.Collect(maps.Values(gone)), true):
		return errs.Newf(errs.Invalid, "unseal key %q is in this node's configuration, and would be used again: take it out there, reload (SIGHUP), and forget it then", name)
	}
	return s.amend(ctx, func(c *rootkey.Config) (bool, error) { return c.Forget(name, gone, works, sharesOnly) })
}

// meant reports whether i is a key that has wrapped the root key, of this name and, if it is not "", this ID.
func (i Info) meant(name, keyID string) bool {
	return i.Kind != KindShamir && i.Wrapped && i.Name == name && (keyID == "" || i.KeyID == keyID)
}

// Works reports whether the key opens the vault from this node, as far as is known.
func (i Info) Works() bool {
	return i.Wrapped && i.Configured && i.Health.Err == nil && !i.Health.Tried.IsZero()
}
