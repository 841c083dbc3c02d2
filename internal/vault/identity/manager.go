package identity

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"io"
	"time"

	"github.com/google/uuid"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/identity/record"
	"github.com/strongkeep/strongkeep/internal/vault/identity/subject"
)

// Manager makes, finds and ends identities. Its methods may be called by any
// number of goroutines at once; it needs no closing.
type Manager struct {
	now      func() time.Time
	random   io.Reader
	subjects *subject.Cache
}

// New returns a Manager. nil stands for time.Now and crypto/rand.
func New(now func() time.Time, random io.Reader) *Manager {
	if now == nil {
		now = time.Now
	}
	if random == nil {
		random = rand.Reader
	}
	return &Manager{now: now, random: random, subjects: subject.NewCache()}
}

// Subject returns the entity that a token names as requests see it, nil if there
// is none any more: the token is refused then. It is cheap to ask again. Kind
// Denied: the entity is in more groups than can be looked at.
func (m *Manager) Subject(ctx context.Context, r Reader, ns, id string) (*Subject, error) {
	return m.subjects.Get(ctx, r, ns, id)
}

// Tx is what changing needs: a view of the whole store, not of one mount.
type Tx interface {
	Reader
	Put(key string, value []byte)
	Delete(key string)
}

// Edit changes the identities of one namespace in a transaction.
type Edit struct {
	View
	tx Tx
	m  *Manager
}

// Edit begins to change the identities of a namespace; "" is the root.
func (m *Manager) Edit(tx Tx, ns string) Edit { return Edit{In(tx, ns), tx, m} }

// NewID makes the ID of an entity, group or alias.
func (m *Manager) NewID() (string, error) {
	id, err := uuid.NewRandomFromReader(m.random)
	if err != nil {
		return "", errs.Newf(errs.Internal, "making an id: %w", err)
	}
	return id.String(), nil
}

// newName makes a name for what nobody named.
func (m *Manager) newName(kind string) (string, error) {
	b := make([]byte, 8)
	if _, err := io.ReadFull(m.random, b); err != nil {
		return "", errs.Newf(errs.Internal, "making a name: %w", err)
	}
	return kind + "_" + hex.EncodeToString(b), nil
}

// put encodes and writes a row.
func (x Edit) put(key, what string, v any) error {
	b, err := record.Encode(what, v)
	if err == nil {
		x.tx.Put(key, b)
	}
	return err
}

// refer writes a reference.
func (x Edit) point(key string, to reference) error { return x.put(key, "a reference", to) }

const oneDay = 24 * 60 * 60

// day is the day that t lies in, counted from 1970 in UTC.
func day(t time.Time) int64 { return t.Unix() / oneDay }

// dayAfter is the first day that begins at t or later.
func dayAfter(t time.Time) int64 { return (t.Unix() + oneDay - 1) / oneDay }

// begin is when a day begins.
func begin(day int64) time.Time { return time.Unix(day*oneDay, 0).UTC() }

// Date is a day, as records have it, as "2026-03-01".
func Date(day int64) string { return begin(day).Format(time.DateOnly) }

// Now is the manager's clock.
func (m *Manager) Now() time.Time { return m.now() }
