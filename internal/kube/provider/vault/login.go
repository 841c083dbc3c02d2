package vault

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/hashicorp/vault/api"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// login is one token and what is known of its life.
type login struct {
	token     redact.Secret
	accessor  string // empty when it is not known, and of batch tokens
	issued    time.Time
	expires   time.Time // zero: never
	renewable bool
	own       bool // made by us, so ours to revoke
}

// renewAt returns when the login wants renewing, or zero for never.
func (l *login) renewAt() time.Time {
	if l.expires.IsZero() {
		return time.Time{}
	}
	return l.issued.Add(l.expires.Sub(l.issued) * 2 / 3)
}

// reloginAfter is the least time between two logins that a 403 leads to: with a
// token that may not even look itself up, a policy that forbids a read must not
// become a login per reconcile.
const reloginAfter = 10 * time.Second

// current returns a login that is good for now, making or renewing one when
// needed. Concurrent callers share that work; a caller that gives up leaves it
// going for the others.
func (s *store) current(ctx context.Context) (*login, error) {
	s.mu.Lock()
	l := s.login
	s.mu.Unlock()
	now := s.clock.Now()
	if l != nil && (l.expires.IsZero() || now.Before(l.renewAt())) {
		return l, nil
	}
	return s.refresh(ctx, l)
}

// refresh replaces the login old (nil: none). One that somebody else replaced
// meanwhile is returned as it is.
func (s *store) refresh(ctx context.Context, old *login) (*login, error) {
	done := s.flight.DoChan("login", func() (any, error) {
		s.mu.Lock()
		l := s.login
		s.mu.Unlock()
		if l != nil && l != old {
			return l, nil
		}
		ctx, cancel := context.WithTimeout(s.ctx, callTimeout)
		defer cancel()
		l, err := s.renewOrLogin(ctx, old)
		if errs.Is(err, errs.NotExist) { // credentials that are not there are not a secret that is not there
			err = errs.As(errs.Unavailable, err)
		}
		if err != nil {
			return nil, err
		}
		s.kv.SetToken(l.token.RevealString())
		s.self.SetToken(l.token.RevealString())
		s.mu.Lock()
		s.login = l
		if l.accessor != "" {
			s.held[l.accessor] = l.expires
		}
		s.mu.Unlock()
		return l, nil
	})
	select {
	case r := <-done:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*login), nil
	case <-ctx.Done():
		return nil, errs.Newf(errs.Unavailable, "logging in to Vault: %w", ctx.Err())
	}
}

func (s *store) renewOrLogin(ctx context.Context, old *login) (*login, error) {
	if l := s.renew(ctx, old); l != nil {
		return l, nil
	}
	if s.settings.Auth.TokenSecretRef != nil {
		return s.givenToken(ctx)
	}
	path, body, err := s.settings.Auth.Request(ctx, s)
	if err != nil {
		return nil, err
	}
	doing := "logging in to Vault at " + s.settings.Server + " with " + s.settings.Auth.String()
	secret, err := s.anonymous.Logical().WriteWithContext(ctx, path, body)
	if err != nil {
		if s.settings.Auth.Cert != nil {
			s.http.CloseIdleConnections() // they have the certificate that was refused
		}
		err = classify(err, doing)
		if errs.Is(err, errs.Denied) || errs.Is(err, errs.Invalid) {
			err = errs.Newf(errs.Unauthenticated, "%w; check the role and what it is bound to: strongkeep read %s", err, s.settings.Auth.RolePath())
		}
		return nil, err
	}
	l, ok := s.fromAuth(secret)
	if !ok {
		return nil, errs.Newf(errs.Unavailable, "%s: the answer has no token", doing)
	}
	l.own = true
	return l, nil
}

// renew returns old with a new life, or nil when there is none to renew or it
// can be renewed no more.
func (s *store) renew(ctx context.Context, old *login) *login {
	if old == nil || !old.renewable || !s.clock.Now().Before(old.expires) {
		return nil
	}
	secret, err := s.self.Auth().Token().RenewSelfWithContext(ctx, 0)
	l, ok := s.fromAuth(secret)
	if err != nil || !ok || !s.longEnough(l) {
		s.log.Info("the Vault token can be renewed no more; logging in again", "store", s.name)
		return nil
	}
	l.token, l.accessor, l.own = old.token, old.accessor, old.own
	return l
}

// longEnough tells a renewal from one that only hands out what is left before
// the token's maximum.
func (s *store) longEnough(l *login) bool {
	return l.expires.IsZero() || l.expires.Sub(s.clock.Now()) > 10*time.Second
}

// Accessors implements provider.Holder. Tokens that were replaced, and live on to
// their end, are among them.
func (s *store) Accessors() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	maps.DeleteFunc(s.held, func(_ string, expires time.Time) bool { return !expires.IsZero() && expires.Before(now) })
	return slices.Sorted(maps.Keys(s.held))
}

func (s *store) fromAuth(secret *api.Secret) (*login, bool) {
	if secret == nil || secret.Auth == nil || secret.Auth.ClientToken == "" {
		return nil, false
	}
	l := s.newLogin(redact.FromString(secret.Auth.ClientToken), secret.Auth.LeaseDuration, secret.Auth.Renewable)
	l.accessor = secret.Auth.Accessor
	return l, true
}

func (s *store) newLogin(token redact.Secret, seconds int, renewable bool) *login {
	l := &login{token: token, issued: s.clock.Now(), renewable: renewable}
	if seconds > 0 {
		l.expires = l.issued.Add(time.Duration(seconds) * time.Second)
	}
	return l
}

// SecretKey implements auth.Source.
func (s *store) SecretKey(ctx context.Context, field string, from *v1.SecretKeySelector, key string) (redact.Secret, error) {
	return s.secretKey(ctx, field, from.Name, from.Namespace, orElse(from.Key, key))
}

// Token implements auth.Source.
func (s *store) Token(ctx context.Context, field string, account *v1.ServiceAccountSelector, audiences []string) (redact.Secret, error) {
	ref, err := s.scope.Ref(field, account.Namespace, account.Name)
	if err != nil {
		return redact.Secret{}, err
	}
	return s.cluster.ServiceAccountToken(ctx, ref, audiences)
}

// Signed implements auth.Source.
func (s *store) Signed(ctx context.Context) (map[string]any, error) { return s.signed(ctx) }

// givenToken reads the token from its Secret and asks the server how long it
// lives. A server that does not let it look itself up tells us nothing, which
// is no error: the first read shows whether the token is good.
func (s *store) givenToken(ctx context.Context) (*login, error) {
	ref := s.settings.Auth.TokenSecretRef
	token, err := s.secretKey(ctx, "auth.tokenSecretRef", ref.Name, ref.Namespace, ref.Key)
	if err != nil {
		return nil, err
	}
	s.self.SetToken(token.RevealString())
	l := s.newLogin(token, 0, false)
	about, err := s.self.Auth().Token().LookupSelfWithContext(ctx)
	if err != nil {
		if err = classify(err, "looking up the token at "+s.settings.Server); errs.Is(err, errs.Denied) {
			return l, nil
		}
		return nil, err
	}
	if ttl, err := about.TokenTTL(); err == nil && ttl > 0 {
		renewable, _ := about.TokenIsRenewable()
		l = s.newLogin(token, int(ttl/time.Second), renewable)
	}
	l.accessor, _ = about.TokenAccessor() // a server that tells none has none to tell apart
	return l, nil
}

func (s *store) secretKey(ctx context.Context, field, name string, namespace *string, key string) (redact.Secret, error) {
	if key == "" {
		return redact.Secret{}, errs.Newf(errs.Invalid, "%s: key is missing", field)
	}
	ref, err := s.scope.Ref(field, namespace, name)
	if err != nil {
		return redact.Secret{}, err
	}
	return s.cluster.SecretKey(ctx, ref, key)
}

// afterDenied finds out what a 403 to a call made with l means: a token that the
// server no longer knows, or a token that may not. It returns true when there
// is a new login to try again with.
func (s *store) afterDenied(ctx context.Context, l *login) bool {
	_, err := s.self.Auth().Token().LookupSelfWithContext(ctx)
	if !errs.Is(classify(err, ""), errs.Denied) || err == nil {
		return false
	}
	s.mu.Lock()
	now := s.clock.Now()
	stale := s.login != l // somebody else has logged in since
	tooSoon := !s.forced.IsZero() && now.Sub(s.forced) < reloginAfter
	if !stale && !tooSoon {
		s.login, s.forced = nil, now
	}
	s.mu.Unlock()
	if tooSoon && !stale {
		return false
	}
	fresh, err := s.refresh(ctx, nil)
	return err == nil && !fresh.token.Equal(l.token)
}
