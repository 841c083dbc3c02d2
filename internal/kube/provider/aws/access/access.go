package access

import (
	"context"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/sync/singleflight"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/wire"
)

// Source gives the credentials that a login begins with. Its failures have kinds.
type Source func(ctx context.Context) (aws.Credentials, error)

// Config configures an Access. Source, Clock and STS are required.
type Config struct {
	Source Source
	Roles  []Role // assumed in this order
	STS    STS
	Clock  clock.Clock
}

// Access holds the login of one store. It implements aws.CredentialsProvider and is
// safe for concurrent use.
type Access struct {
	cfg    Config
	ctx    context.Context // ends with Close; a login is for all that wait for it
	cancel context.CancelFunc
	flight singleflight.Group

	mu     sync.Mutex
	login  *login
	forced time.Time // when a refusal last led to a new login
}

type login struct {
	credentials aws.Credentials
	renewAt     time.Time // zero: never
}

const (
	// pause is the least time between two logins that failed, or that refusals led to.
	pause = 10 * time.Second
	// leeway is how long before its end a login is not used any more.
	leeway = 10 * time.Second
)

// New returns an Access that logs in when first needed. The caller closes it.
func New(cfg Config) *Access {
	ctx, cancel := context.WithCancel(context.Background())
	return &Access{cfg: cfg, ctx: ctx, cancel: cancel}
}

// Close ends a login that is under way.
func (a *Access) Close() { a.cancel() }

// Retrieve implements aws.CredentialsProvider.
func (a *Access) Retrieve(ctx context.Context) (aws.Credentials, error) {
	l, err := a.current(ctx)
	if err != nil {
		return aws.Credentials{}, err
	}
	return l.credentials, nil
}

func (a *Access) current(ctx context.Context) (*login, error) {
	a.mu.Lock()
	l := a.login
	a.mu.Unlock()
	if l != nil && (l.renewAt.IsZero() || a.cfg.Clock.Now().Before(l.renewAt)) {
		return l, nil
	}
	return a.refresh(ctx, l)
}

// refresh replaces the login old. One that somebody else replaced is returned as
// it is; one that is still good stays when there is no new one.
func (a *Access) refresh(ctx context.Context, old *login) (*login, error) {
	done := a.flight.DoChan("", func() (any, error) {
		a.mu.Lock()
		l := a.login
		a.mu.Unlock()
		if l != nil && l != old {
			return l, nil
		}
		ctx, cancel := context.WithTimeout(a.ctx, wire.CallTimeout)
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
		return nil, errs.Newf(errs.Unavailable, "logging in to AWS: %w", ctx.Err())
	}
}

// stillGood returns old for another while, nil when it is over.
func (a *Access) stillGood(old *login) *login {
	now := a.cfg.Clock.Now()
	if old == nil || !old.credentials.CanExpire || !now.Before(old.credentials.Expires.Add(-leeway)) {
		return nil
	}
	return &login{old.credentials, now.Add(pause)}
}

// make logs in. Whatever is missing for it, it is never NotExist, which is for
// secrets.
func (a *Access) make(ctx context.Context) (*login, error) {
	c, err := a.cfg.Source(ctx)
	for i := 0; err == nil && i < len(a.cfg.Roles); i++ {
		c, err = a.cfg.STS.assume(ctx, c, a.cfg.Roles[i])
	}
	if err != nil {
		switch errs.KindOf(err) {
		case errs.NotExist:
			return nil, errs.As(errs.Unavailable, err)
		case errs.Internal:
			return nil, errs.Newf(errs.Unavailable, "logging in to AWS: %w", err)
		}
		return nil, err
	}
	l := &login{credentials: c}
	if c.CanExpire {
		now := a.cfg.Clock.Now()
		if !now.Before(c.Expires) {
			return nil, errs.New(errs.Unavailable, "logging in to AWS: the credentials that came are over already: check the clock of this machine")
		}
		l.renewAt = now.Add(c.Expires.Sub(now) * 2 / 3)
	}
	return l, nil
}

// renew makes a new login because AWS refused the one that key belongs to, at most
// one in a while. It returns true when there is another to try with.
func (a *Access) renew(ctx context.Context, key string) bool {
	a.mu.Lock()
	l, now := a.login, a.cfg.Clock.Now()
	mine := l != nil && l.credentials.AccessKeyID+l.credentials.SessionToken == key
	if mine {
		if !a.forced.IsZero() && now.Sub(a.forced) < pause {
			a.mu.Unlock()
			return false
		}
		a.forced, a.login = now, nil
	}
	a.mu.Unlock()
	fresh, err := a.current(ctx)
	return err == nil && fresh.credentials.AccessKeyID+fresh.credentials.SessionToken != key
}

// Do makes one call with the login, once more with a new one when AWS does not
// accept it, and gives its failure a kind and doing as its beginning.
func Do[T any](ctx context.Context, a *Access, doing string, call func(context.Context) (T, error)) (T, error) {
	var none T
	ctx, cancel := context.WithTimeout(ctx, wire.CallTimeout)
	defer cancel()
	l, err := a.current(ctx)
	if err != nil {
		return none, err
	}
	out, err := call(ctx)
	if wire.Stale(err) && a.renew(ctx, l.credentials.AccessKeyID+l.credentials.SessionToken) {
		out, err = call(ctx)
	}
	if err != nil {
		return none, wire.Fail(doing, err)
	}
	return out, nil
}
