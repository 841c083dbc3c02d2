package vault

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// Loan is a login for one credential. What the vault makes for it ends with it: a
// lease is revoked with the token that it was made for. It is for one goroutine.
type Loan struct {
	store *store
	login *login
}

// Lend logs in anew with the settings of a store. The caller ends the loan with
// Return or Leave.
func (p Provider) Lend(ctx context.Context, cfg provider.Config) (*Loan, error) {
	opened, err := p.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s, ok := opened.(*store)
	if !ok {
		return nil, errs.New(errs.Internal, "a store of another kind was opened")
	}
	l, err := s.current(ctx)
	if err != nil {
		_ = s.Close(ctx) // there is no token to revoke
		return nil, err
	}
	return &Loan{s, l}, nil
}

// Accessor names the login's token, "" for one that is not ours: a token from a
// Secret, which is others' too.
func (l *Loan) Accessor() string {
	if !l.login.own {
		return ""
	}
	return l.login.accessor
}

// Ends is when the login ends, and with it what was made for it; zero: never.
func (l *Loan) Ends() time.Time { return l.login.expires }

// Question is one request of a Loan. Body is for POST and PUT, Query for GET.
type Question struct {
	Method, Path string
	Query        url.Values
	Body         []byte
}

// Ask makes a request below /v1/ and returns the whole answer; nil for none. No
// error holds anything of the body. The vault may have done what was asked for
// although no answer came.
func (l *Loan) Ask(ctx context.Context, q Question) (*api.Secret, error) {
	at, err := address(q.Path)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	for name, values := range q.Query {
		at.query[name] = values
	}
	logical := l.store.kv.Logical()
	var answer *api.Secret
	switch q.Method {
	case http.MethodGet:
		answer, err = logical.ReadWithDataWithContext(ctx, at.path, at.query)
	case "LIST":
		answer, err = logical.ListWithContext(ctx, at.path)
	case http.MethodDelete:
		answer, err = logical.DeleteWithContext(ctx, at.path)
	case http.MethodPost, http.MethodPut:
		answer, err = logical.WriteBytesWithContext(ctx, at.path, q.Body)
	default:
		return nil, errs.Newf(errs.Invalid, "method is %q: it must be GET, LIST, POST, PUT or DELETE", q.Method)
	}
	if err != nil {
		err = classify(err, fmt.Sprintf("calling %s %q at %s", q.Method, at.path, l.store.settings.Server))
		if errs.Is(err, errs.Denied) {
			err = errs.Newf(errs.Denied, `%w; give the policies of %s the capability "%s" on "%s"`, err, l.store.settings.Auth, capability(q.Method), at.path)
		}
		return nil, err
	}
	return answer, nil
}

// Return ends the login, and with it everything that was made for it.
func (l *Loan) Return(ctx context.Context) error { return l.store.Close(ctx) }

// Leave ends the loan and leaves the login to end by itself, so that what was made
// for it stays good.
func (l *Loan) Leave(ctx context.Context) error {
	l.store.mu.Lock()
	if l.store.login != nil {
		l.store.login.own = false
	}
	l.store.mu.Unlock()
	return l.store.Close(ctx)
}
