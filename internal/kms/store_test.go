package kms_test

import (
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
	calls   int
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

func (s *store) History(context.Context) (keystore.History, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	return keystore.History{Lineage: s.lineage, Versions: append([]keystore.Version(nil), s.all...)}, s.away
}

func (s *store) Wrap(ctx context.Context, aad []byte, plain redact.Secret) ([]byte, error) {
	return s.WrapAs(ctx, s.all[len(s.all)-1].ID, aad, plain)
}

// WrapAs makes blobs of one byte for the version's number and a box.
func (s *store) WrapAs(_ context.Context, id string, aad []byte, plain redact.Secret) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
	b, ok := s.boxes[id]
	if !ok {
		return nil, errs.New(errs.NotExist, "no such version")
	}
	return b.Append([]byte(id[:1]), aad, plain.Reveal()), s.away
}

func (s *store) Unwrap(_ context.Context, aad, blob []byte) (redact.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
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

var errAway = errs.New(errs.Unavailable, "the store is away")
