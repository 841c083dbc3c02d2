package seal

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/seal/rootkey"

	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/seal/box"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// session is an unsealed time of a Barrier: what can read and rotate the
// stored keyring, and wrap the root key for keys and people who are new. stop
// wipes the root key; the cipher made of it, which cannot be wiped, is garbage then.
type session struct {
	store       store.Store
	keys        *Keyring
	vault       uuid.UUID
	config      atomic.Pointer[rootkey.Config] // as last seen; another node may have changed what is stored
	root        box.Box
	key         redact.Secret // the root key itself
	now         func() time.Time
	log         *slog.Logger
	rotateAfter uint64

	by *rootkey.Wrapping // what opened the vault; nil when it was made

	cancel context.CancelFunc // ends what work has
	work   sync.WaitGroup     // upkeep and keep
	look   chan struct{}      // capacity 1; has keep look at the seals now
}

// attempts bounds how often a guarded write is tried anew after others wrote
// in between. Each conflict means that one of them got through.
const attempts = 64

func (b *Barrier) newSession(c rootkey.Config, root redact.Secret) (*session, error) {
	cipher, err := box.New(root.Reveal())
	if err != nil {
		return nil, err
	}
	s := &session{
		store: b.store, keys: b.keys, vault: c.VaultID, root: cipher, key: redact.New(slices.Clone(root.Reveal())),
		now: b.now, log: b.log, rotateAfter: b.rotateAfter, look: make(chan struct{}, 1),
	}
	s.config.Store(&c)
	return s, nil
}

// load reads the keyring from storage. The caller wipes it.
func (s *session) load(ctx context.Context) (material, store.Revision, error) {
	e, err := s.store.Get(ctx, KeyringKey)
	if err != nil {
		return material{}, 0, fmt.Errorf("reading the keyring: %w", err)
	}
	if !e.Exists() {
		return material{}, 0, errs.Newf(errs.Internal, "storage has no keyring at %s: restore it from a backup, nothing can be decrypted without it", KeyringKey)
	}
	plain, err := s.root.Open(keyringAAD(s.vault), e.Value)
	if err != nil {
		return material{}, 0, fmt.Errorf("decrypting the keyring at %s: %w", KeyringKey, err)
	}
	m, err := decodeMaterial(plain)
	if err != nil {
		clear(plain)
		return material{}, 0, err
	}
	return m, e.Revision, nil
}

// seal encrypts the keyring for storage.
func (s *session) seal(m material) []byte {
	plain := m.encode()
	defer clear(plain)
	return s.root.Append(nil, keyringAAD(s.vault), plain)
}

// tallied encrypts the count of r's newest term for storage, with r itself.
func (s *session) tallied(r *ring, total uint64) []byte {
	return r.seal(usageAAD(s.vault), tally{term: r.newest(), total: total}.encode())
}

// reserve notes in storage that this process will encrypt another block under
// r's newest term.
func (s *session) reserve(ctx context.Context, r *ring) error {
	for range attempts {
		e, err := s.store.Get(ctx, UsageKey)
		if err != nil {
			return fmt.Errorf("reading the count of encryptions: %w", err)
		}
		stored, newer := tallyOf(r, usageAAD(s.vault), e.Value)
		if newer {
			// Another node has rotated, and the watch brings the new term; or
			// the count is damaged and only looks that way.
			if stale, err := s.stale(ctx, r); err != nil || stale {
				return err
			}
		}
		// What was used while storage refused to note it is made good here.
		n := block + r.use.used.Load() - min(r.use.used.Load(), r.use.granted.Load())
		total := min(stored.total, MaxOperations) + n
		_, err = s.store.Apply(ctx, store.Put(UsageKey, s.tallied(r, total)).If(e.Revision))
		switch {
		case err == nil:
			r.use.grant(n, total)
			return nil
		case !errs.Is(err, errs.Conflict):
			return fmt.Errorf("writing the count of encryptions: %w", err)
		}
	}
	return errs.New(errs.Conflict, "writing the count of encryptions: others kept writing it")
}

// stale reports whether storage has a newer term than r.
func (s *session) stale(ctx context.Context, r *ring) (bool, error) {
	m, _, err := s.load(ctx)
	if err != nil {
		return false, err
	}
	defer m.wipe()
	return m.newest() > r.newest(), nil
}

// rotate adds a term to the keyring, in storage first and then here. If from
// is not 0 it does so only while from is the newest term: a rotation that was
// due to it has happened otherwise.
func (s *session) rotate(ctx context.Context, from uint32) error {
	for range attempts {
		err := s.rotateOnce(ctx, from)
		if !errs.Is(err, errs.Conflict) {
			return err
		}
	}
	return errs.New(errs.Conflict, "rotating the keyring: others kept writing it, try again")
}

func (s *session) rotateOnce(ctx context.Context, from uint32) error {
	m, rev, err := s.load(ctx)
	if err != nil {
		return err
	}
	defer func() { m.wipe() }()
	e, err := s.store.Get(ctx, UsageKey)
	if err != nil {
		return fmt.Errorf("reading the count of encryptions: %w", err)
	}
	if from != 0 && m.newest() != from {
		return s.adopt(m)
	}
	if err := m.rotate(s.now()); err != nil {
		return err
	}
	r, err := newRing(m, s.rotateAfter)
	if err != nil {
		return err
	}
	_, err = s.store.Apply(ctx,
		store.Put(KeyringKey, s.seal(m)).If(rev),
		store.Put(UsageKey, s.tallied(r, block)).If(e.Revision))
	if err != nil {
		return fmt.Errorf("writing the rotated keyring: %w", err)
	}
	r.use.grant(block, block)
	// The watch may have been faster and brought the same term without what
	// was granted here.
	if now := s.keys.adopt(r); now != nil && now != r && now.newest() == r.newest() {
		now.use.grant(block, block)
	}
	return nil
}

func (s *session) adopt(m material) error {
	r, err := newRing(m, s.rotateAfter)
	if err != nil {
		return err
	}
	s.keys.adopt(r)
	return nil
}

// reload takes over what another node may have added to the keyring.
func (s *session) reload(ctx context.Context) error {
	m, _, err := s.load(ctx)
	if err != nil {
		return err
	}
	defer m.wipe()
	return s.adopt(m)
}

// keyringAAD and usageAAD begin with what no storage path can, so that no
// value can take the place of either.

func keyringAAD(vault uuid.UUID) []byte {
	return append([]byte("\x00strongkeep keyring v1\x00"), vault[:]...)
}

func usageAAD(vault uuid.UUID) []byte {
	return append([]byte("\x00strongkeep keyring usage v1\x00"), vault[:]...)
}
