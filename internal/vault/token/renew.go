package token

import (
	"context"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/expiry"
)

// Limits are what others say of a token's life when it is renewed: its mount,
// and its auth method if that has a say. 0 keeps what the token was made with;
// Default and Max must be set.
type Limits struct {
	Default, Max        time.Duration // the mount's, as they are now
	TTL, MaxTTL, Period time.Duration // the role's, as they are now
}

// Renew gives e a new time to live from now: increment if it is not 0, else
// what it was made with. The entry it returns is what tx now holds. Kind
// Invalid: the token cannot be renewed, or its longest life is over;
// Unauthenticated: it is not valid any more.
func (m *Manager) Renew(ctx context.Context, tx Tx, e *Entry, increment time.Duration, l Limits) (*Entry, []string, error) {
	switch {
	case e.Type == Batch:
		return nil, nil, errs.New(errs.Invalid, "batch tokens cannot be renewed")
	case increment < 0:
		return nil, nil, errs.New(errs.Invalid, "increment cannot be negative")
	}
	cur, err := m.Get(ctx, tx, e.Key)
	if err != nil {
		return nil, nil, err
	}
	if !cur.Renewable || cur.Expires.IsZero() {
		return nil, nil, errs.New(errs.Invalid, "lease is not renewable")
	}
	next := *cur
	if cur.Period > 0 && l.Period > 0 {
		next.Period = l.Period
	}
	now := m.now().UTC()
	ttl, warnings, err := Lifetime{
		Now: now, Created: cur.Created, Increment: increment,
		TTL: firstSet(l.TTL, cur.TTL), Period: next.Period,
		MaxTTL: firstSet(l.MaxTTL, cur.MaxTTL), ExplicitMaxTTL: cur.ExplicitMaxTTL,
		Default: l.Default, Max: l.Max,
	}.Resolve()
	if err != nil {
		return nil, nil, err
	}
	next.LastRenewal, next.Expires = now, now.Add(ttl)
	expiry.Remove(tx, cur.due())
	expiry.Add(tx, next.due())
	tx.Put(idPrefix+next.Key, encodeEntry(&next))
	return &next, warnings, nil
}

func firstSet(a, b time.Duration) time.Duration {
	if a > 0 {
		return a
	}
	return b
}

// Use takes one of the token's uses, if they are counted. Call it before the
// request's handler, in its transaction; if last is set, call Revoke after the
// handler, in the same one. A request that was denied uses one up as well. Kind
// Unauthenticated: a request before this one took the last.
func (m *Manager) Use(ctx context.Context, tx Tx, e *Entry) (last bool, err error) {
	if e.NumUses == 0 {
		return false, nil
	}
	cur, err := m.find(ctx, tx, idPrefix+e.Key, false)
	if err != nil {
		return false, err
	}
	next := *cur
	next.NumUses--
	if next.NumUses == 0 {
		next.NumUses = spent
	}
	tx.Put(idPrefix+next.Key, encodeEntry(&next))
	return next.Spent(), nil
}
