package access

import (
	"context"
	"encoding/json"

	"github.com/aws/aws-sdk-go-v2/aws"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/cloud/aws/wire"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
	"github.com/strongkeep/strongkeep/internal/redact"
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
	keeper *login.Keeper // of credentials in JSON
}

// New returns an Access that logs in when first needed. The caller closes it.
func New(cfg Config) *Access {
	return &Access{login.New("AWS", cfg.login, cfg.Clock)}
}

// Close ends a login that is under way.
func (a *Access) Close() { a.keeper.Close() }

// Retrieve implements aws.CredentialsProvider.
func (a *Access) Retrieve(ctx context.Context) (aws.Credentials, error) {
	var c aws.Credentials
	t, err := a.keeper.Token(ctx)
	if err == nil {
		err = json.Unmarshal(t.Value.Reveal(), &c)
	}
	return c, err
}

// login implements login.Source.
func (c Config) login(ctx context.Context) (login.Token, error) {
	is, err := c.Source(ctx)
	for i := 0; err == nil && i < len(c.Roles); i++ {
		is, err = c.STS.assume(ctx, is, c.Roles[i])
	}
	if err != nil {
		return login.Token{}, err
	}
	raw, err := json.Marshal(is)
	if err != nil {
		return login.Token{}, errs.Newf(errs.Internal, "encoding credentials: %w", err)
	}
	t := login.Token{Value: redact.New(raw)}
	if is.CanExpire {
		t.Expires = is.Expires
	}
	return t, nil
}

// Do makes one call with the login, once more with a new one when AWS does not
// accept it, and gives its failure a kind and doing as its beginning.
func Do[T any](ctx context.Context, a *Access, doing string, call func(context.Context) (T, error)) (T, error) {
	var none T
	ctx, cancel := context.WithTimeout(ctx, wire.CallTimeout)
	defer cancel()
	t, err := a.keeper.Token(ctx)
	if err != nil {
		return none, err
	}
	out, err := call(ctx)
	if wire.Stale(err) {
		if again, _ := a.keeper.Renew(ctx, t); again { // else the first refusal is told
			out, err = call(ctx)
		}
	}
	if err != nil {
		return none, wire.Fail(doing, err)
	}
	return out, nil
}
