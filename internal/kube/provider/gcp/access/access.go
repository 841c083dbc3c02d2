package access

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Token is an access token of Google.
type Token struct {
	Value   redact.Secret
	Expires time.Time // zero: not known
}

// Source logs in. Its failures have kinds.
type Source func(ctx context.Context) (Token, error)

// Access holds the login of one store. It is safe for concurrent use.
type Access struct {
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

// New returns an Access that logs in when first needed. The caller closes it.
func New(source Source, c clock.PassiveClock) *Access {
	ctx, cancel := context.WithCancel(context.Background())
	return &Access{source: source, clock: c, ctx: ctx, cancel: cancel}
}

// Close ends a login that is under way.
func (a *Access) Close() { a.cancel() }

// Token returns the login's token, after logging in where that is due.
func (a *Access) Token(ctx context.Context) (Token, error) {
	a.mu.Lock()
	l := a.login
	a.mu.Unlock()
	if l == nil || !l.renewAt.IsZero() && !a.clock.Now().Before(l.renewAt) {
		var err error
		if l, err = a.refresh(ctx, l); err != nil {
			return Token{}, err
		}
	}
	return l.token, nil
}

// refresh replaces the login old. One that somebody else replaced is returned as it
// is; one that is still good stays when there is no new one.
func (a *Access) refresh(ctx context.Context, old *login) (*login, error) {
	done := a.flight.DoChan("", func() (any, error) {
		a.mu.Lock()
		l := a.login
		a.mu.Unlock()
		if l != nil && l != old {
			return l, nil
		}
		ctx, cancel := context.WithTimeout(a.ctx, Timeout)
		defer cancel()
		fresh, err := a.make(ctx)
		if err != nil {
			if fresh = a.stillGood(old); fresh == nil {
				return nil, err
			}
		}
		a.mu.Lock()
		a.login = fresh
		a.mu.Unlock()
		return fresh, nil
	})
	select {
	case r := <-done:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*login), nil
	case <-ctx.Done():
		return nil, errs.Newf(errs.Unavailable, "logging in to Google: %w", ctx.Err())
	}
}

// stillGood returns old for another while, nil when it is over.
func (a *Access) stillGood(old *login) *login {
	now := a.clock.Now()
	if old == nil || old.token.Expires.IsZero() || !now.Before(old.token.Expires.Add(-leeway)) {
		return nil
	}
	return &login{old.token, now.Add(pause)}
}

// make logs in. Whatever is missing for it, it is never NotExist, which is for
// secrets.
func (a *Access) make(ctx context.Context) (*login, error) {
	t, err := a.source(ctx)
	if err != nil {
		switch errs.KindOf(err) {
		case errs.NotExist:
			return nil, errs.As(errs.Unavailable, err)
		case errs.Internal:
			return nil, errs.Newf(errs.Unavailable, "logging in to Google: %w", err)
		}
		return nil, err
	}
	if t.Value.Empty() {
		return nil, errs.New(errs.Unavailable, "logging in to Google: the answer has no token")
	}
	l := &login{token: t}
	if !t.Expires.IsZero() {
		now := a.clock.Now()
		if !now.Before(t.Expires) {
			return nil, errs.New(errs.Unavailable, "logging in to Google: the token that came is over already: check the clock of this machine")
		}
		l.renewAt = now.Add(t.Expires.Sub(now) * 2 / 3)
	}
	return l, nil
}

// Renew makes a new login because Google refused t, at most one in a while. again
// says that there is another to try with; err why there is none that could be had.
func (a *Access) Renew(ctx context.Context, t Token) (again bool, err error) {
	a.mu.Lock()
	l, now := a.login, a.clock.Now()
	if l != nil && l.token.Value.Equal(t.Value) {
		if !a.forced.IsZero() && now.Sub(a.forced) < pause {
			a.mu.Unlock()
			return false, nil
		}
		a.forced, a.login = now, nil
	}
	a.mu.Unlock()
	fresh, err := a.Token(ctx)
	return err == nil && !fresh.Value.Equal(t.Value), err
}
