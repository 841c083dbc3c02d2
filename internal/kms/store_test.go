package kms_test

import (
	"cmp"
	"context"
	"crypto/rand"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/seal/box"
)

// store is a key store in memory that turns, goes away and misbehaves.
type store struct {
	mu      sync.Mutex
	lineage string
	boxes   map[string]box.Box
	all     []keystore.Version
	away    error
	wraps   error            // what wrapping is answered with, under any version
	refused map[string]error // and under some
	slow    time.Duration    // what each call takes, or its deadline
	calls   int
	asked   int // for versions
}

func newStore(made time.Time) *store {
	s := &store{lineage: "lineage", boxes: map[string]box.Box{}}
	s.turn("1", made)
	return s
}

func (s *store) turn(id string, made time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := make([]byte, box.KeySize)
	_, _ = rand.Read(key)
	b, err := box.New(key)
	if err != nil {
		panic(err)
	}
	s.boxes[id] = b
	s.all = append(s.all, keystore.Version{ID: id, Made: made, Wraps: true})
}

// change does something to the store that no client may notice half.
func (s *store) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func (s *store) Name() string  { return "memory" }
func (s *store) KeyID() string { return "key" }

// busy takes the time that a call takes. Not under the lock: time stands still in a
// bubble of synctest while somebody waits for one.
func (s *store) busy(ctx context.Context) error {
	s.mu.Lock()
	s.calls++
	t := time.NewTimer(s.slow)
	s.mu.Unlock()
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return errs.Newf(errs.Unavailable, "the store is slow: %w", ctx.Err())
	}
}

func (s *store) History(ctx context.Context) (keystore.History, error) {
	if err := s.busy(ctx); err != nil {
		return keystore.History{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	return keystore.History{Lineage: s.lineage, Versions: append([]keystore.Version(nil), s.all...)}, s.away
}

func (s *store) Wrap(ctx context.Context, aad []byte, plain redact.Secret) ([]byte, error) {
	return s.WrapAs(ctx, s.all[len(s.all)-1].ID, aad, plain)
}

// WrapAs makes blobs of one byte for the version's number and a box.
func (s *store) WrapAs(ctx context.Context, id string, aad []byte, plain redact.Secret) ([]byte, error) {
	if err := s.busy(ctx); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := cmp.Or(s.away, s.wraps, s.refused[id]); err != nil {
		return nil, err
	}
	b, ok := s.boxes[id]
	if !ok {
		return nil, errs.New(errs.NotExist, "no such version")
	}
	return b.Append([]byte(id[:1]), aad, plain.Reveal()), nil
}

func (s *store) Unwrap(ctx context.Context, aad, blob []byte) (redact.Secret, error) {
	if err := s.busy(ctx); err != nil {
		return redact.Secret{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id, err := s.VersionOf(blob)
	if err != nil {
		return redact.Secret{}, err
	}
	b, ok := s.boxes[id]
	if !ok {
		return redact.Secret{}, errs.New(errs.NotExist, "no such version")
	}
	if s.away != nil {
		return redact.Secret{}, s.away
	}
	plain, err := b.Open(aad, blob[1:])
	return redact.New(plain), err
}

func (s *store) VersionOf(blob []byte) (string, error) {
	if len(blob) < 2 {
		return "", errs.New(errs.Invalid, "too short")
	}
	return string(blob[:1]), nil
}

func (s *store) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls
}

// questions is how often the store was asked for versions.
func (s *store) questions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked
}

var errAway = errs.New(errs.Unavailable, "the store is away")
