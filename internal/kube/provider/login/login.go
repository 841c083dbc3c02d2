package login

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Token is an access token.
type Token struct {
	Value   redact.Secret
	Expires time.Time // zero: not known
}

// Source logs in. Its failures have kinds.
type Source func(ctx context.Context) (Token, error)

// Keeper holds the login of one store. It is safe for concurrent use.
type Keeper struct {
	at     string // whose it is, for messages
	source Source
	clock  clock.PassiveClock
	ctx    context.Context // ends with Close; a login is for all that wait for it
	cancel context.CancelFunc
	flight singleflight.Group

	mu     sync.Mutex
	login  *login
	forced time.Time // when a refusal last led to a new login
}

type login struct {
	token   Token
	renewAt time.Time // zero: never
}

const (
	// Timeout bounds one login.
	Timeout = 30 * time.Second
	// pause is the least time between two logins that failed, or that refusals led to.
	pause = 10 * time.Second
	// leeway is how long before its end a login is not used any more.
	leeway = 10 * time.Second
)

// New returns a Keeper that logs in when first needed; at says where, for messages.
// The caller closes it.
func New(at string, source Source, c clock.PassiveClock) *Keeper {
	ctx, cancel := context.WithCancel(context.Background())
	return &Keeper{at: at, source: source, clock: c, ctx: ctx, cancel: cancel}
}

// Close ends a login that is under way.
func (k *Keeper) Close() { k.cancel() }

// Token returns the login's token, after logging in where that is due.
func (k *Keeper) Token(ctx context.Context) (Token, error) {
	k.mu.Lock()
	l := k.login
	k.mu.Unlock()
	if l == nil || !l.renewAt.IsZero() && !k.clock.Now().Before(l.renewAt) {
		var err error
		if l, err = k.refresh(ctx, l); err != nil {
			return Token{}, err
		}
	}
	return l.token, nil
}

// refresh replaces the login old. One that somebody else replaced is returned as it
// is; one that is still good stays when there is no new one.
func (k *Keeper) refresh(ctx context.Context, old *login) (*login, error) {
	done := k.flight.DoChan("", func() (any, error) {
		k.mu.Lock()
		l := k.login
		k.mu.Unlock()
		if l != nil && l != old {
			return l, nil
		}
		ctx, cancel := context.WithTimeout(k.ctx, Timeout)
		defer cancel()
		fresh, err := k.make(ctx)
		if err != nil {
			if fresh = k.stillGood(old); fresh == nil {
				return nil, err
			}
		}
		k.mu.Lock()
		k.login = fresh
		k.mu.Unlock()
		return fresh, nil
	})
	select {
	case r := <-done:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*login), nil
	case <-ctx.Done():
		return nil, errs.Newf(errs.Unavailable, "logging in to %s: %w", k.at, ctx.Err())
	}
}

// stillGood returns old for another while, nil when it is over.
func (k *Keeper) stillGood(old *login) *login {
	now := k.clock.Now()
	if old == nil || old.token.Expires.IsZero() || !now.Before(old.token.Expires.Add(-leeway)) {
		return nil
	}
	return &login{old.token, now.Add(pause)}
}

// make logs in. Whatever is missing for it, it is never NotExist, which is for
// secrets.
func (k *Keeper) make(ctx context.Context) (*login, error) {
	t, err := k.source(ctx)
	if err != nil {
		switch errs.KindOf(err) {
		case errs.NotExist:
			return nil, errs.As(errs.Unavailable, err)
		case errs.Internal:
			return nil, errs.Newf(errs.Unavailable, "logging in to %s: %w", k.at, err)
		}
		return nil, err
	}
	if t.Value.Empty() {
		return nil, errs.Newf(errs.Unavailable, "logging in to %s: the answer has no token", k.at)
	}
	l := &login{token: t}
	if !t.Expires.IsZero() {
		now := k.clock.Now()
		if !now.Before(t.Expires) {
			return nil, errs.Newf(errs.Unavailable, "logging in to %s: the token that came is over already: check the clock of this machine", k.at)
		}
		l.renewAt = now.Add(t.Expires.Sub(now) * 2 / 3)
	}
	return l, nil
}

// Renew makes a new login because t was refused, at most one in a while. again
// says that there is another to try with; err why there is none that could be had.
func (k *Keeper) Renew(ctx context.Context, t Token) (again bool, err error) {
	k.mu.Lock()
	l, now := k.login, k.clock.Now()
	if l != nil && l.token.Value.Equal(t.Value) {
		if !k.forced.IsZero() && now.Sub(k.forced) < pause {
			k.mu.Unlock()
			return false, nil
		}
		k.forced, k.login = now, nil
	}
	k.mu.Unlock()
	fresh, err := k.Token(ctx)
	return err == nil && !fresh.Value.Equal(t.Value), err
}
