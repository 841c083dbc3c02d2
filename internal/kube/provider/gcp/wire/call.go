package wire

import (
	"context"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc/metadata"
	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
)

// Caller is what calls are made with.
type Caller struct {
	Login *login.Keeper
	Retry provider.Retry
	Clock clock.Clock
}

const (
	// Timeout bounds one call, retries included.
	Timeout = 30 * time.Second
	// Without settings a call is made three times within about a second.
	defaultRetries = 2
	defaultWait    = 300 * time.Millisecond
)

// Call describes one call.
type Call struct {
	Doing   string // the beginning of its failure's text
	Routing string // "field=name", by which Google's front ends route
	Secret  bool   // it holds a secret, which a refusal may quote
	Once    bool   // made again it might be done twice
	// Gone is what must stand in the words of a NotFound for it to be about what was
	// asked for, in small letters. What is about something else, such as a project, is
	// Invalid and no deletion.
	Gone string
}

// Do makes one call with the login of c; again with a new one when Google does not
// accept it, and when the service is away for a moment, until ctx ends.
func Do[T any](ctx context.Context, c Caller, call Call, f func(context.Context) (T, error)) (T, error) {
	var none T
	retries, wait := c.retries()
	for renewed := false; ; {
		token, err := c.Login.Token(ctx)
		if err != nil {
			return none, err
		}
		out, err := f(metadata.AppendToOutgoingContext(ctx,
			"authorization", "Bearer "+token.Value.RevealString(), "x-goog-request-params", routing(call.Routing)))
		if err == nil {
			return out, nil
		}
		err = fail(call, err)
		switch {
		case errs.Is(err, errs.Unauthenticated) && !renewed:
			renewed = true
			if err := c.renew(ctx, token, err); err != nil {
				return none, err
			}
		case errs.Is(err, errs.Unavailable) && retries > 0 && !call.Once && c.sleep(ctx, wait):
			retries--
			wait *= 2
		default:
			return none, err
		}
	}
}

// renew logs in anew in place of a token that Google refused; the refusal stands where
// that was done too short ago.
func (c Caller) renew(ctx context.Context, token login.Token, refusal error) error {
	again, err := c.Login.Renew(ctx, token)
	if err == nil && !again {
		return refusal
	}
	return err
}

// retries returns how often a call is made again, and when first.
func (c Caller) retries() (n int, wait time.Duration) {
	n, wait = defaultRetries, defaultWait
	if c.Retry.Max != nil {
		n = *c.Retry.Max
	}
	if c.Retry.Wait > 0 {
		wait = c.Retry.Wait
	}
	return n, wait
}

// sleep waits for d, and reports whether ctx has not ended.
func (c Caller) sleep(ctx context.Context, d time.Duration) bool {
	timer := c.Clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C():
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// routing encodes "field=name" for a header.
func routing(s string) string {
	field, name, _ := strings.Cut(s, "=")
	return field + "=" + url.QueryEscape(name)
}
