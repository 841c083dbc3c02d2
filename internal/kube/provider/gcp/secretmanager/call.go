package secretmanager

import (
	"context"
	"crypto/tls"
	"net/url"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/login"
	"github.com/strongkeep/strongkeep/internal/kube/provider/pace"
)

const (
	// callTimeout bounds one call, retries included.
	callTimeout = 30 * time.Second
	// maxAnswer bounds an answer: a page of secrets with their annotations.
	maxAnswer = 8 << 20
	// adminPerSecond is a fifth of the reads that a project is allowed, 600 a minute,
	// without those of values.
	adminPerSecond = rate.Limit(2)
	adminBurst     = 60
	// Without settings a call is made three times within about a second.
	defaultRetries = 2
	defaultWait    = 300 * time.Millisecond
)

// dial returns a connection, made when first needed, to the service of a location.
// Tokens go over it, so it is TLS, or to this machine, which only the operator's
// environment can say.
func dial(endpoint, location string) (*grpc.ClientConn, error) {
	target, security := "secretmanager.googleapis.com:443", credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	if location != "" {
		target = "secretmanager." + location + ".rep.googleapis.com:443"
	}
	if endpoint != "" {
		u, err := login.Endpoint("GCP_SECRETMANAGER_ENDPOINT", endpoint)
		if err != nil {
			return nil, err
		}
		target = u.Host
		if u.Scheme == "http" {
			security = insecure.NewCredentials()
		} else if u.Port() == "" {
			target += ":443"
		}
	}
	conn, err := grpc.NewClient("dns:///"+target,
		grpc.WithTransportCredentials(security),
		grpc.WithUserAgent("strongkeep"),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		grpc.WithConnectParams(grpc.ConnectParams{ // an outage is over for us soon after it is over
			Backoff: backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 5 * time.Second}, MinConnectTimeout: 10 * time.Second,
		}))
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making a client of Secret Manager: %w", err)
	}
	return conn, nil
}

// call describes one call.
type call struct {
	doing   string // the beginning of its failure's text
	routing string // "field=name", by which Google's front ends route
	admin   bool   // it counts as a read or a write of Google's small quota
	secret  bool   // it holds a secret, which a refusal may quote
	once    bool   // made again it might be done twice
}

// do makes one call when it is the store's turn, with the login; again with a new one
// when Google does not accept it, and when the service is away for a moment.
func do[T any](ctx context.Context, s *Store, c call, f func(context.Context) (T, error)) (T, error) { //nolint:cyclop // flat: a case after the other
	var none T
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := s.turn(ctx, c); err != nil {
		return none, err
	}
	retries, wait := defaultRetries, defaultWait
	if r := s.cfg.Retry; r.Max != nil {
		retries = *r.Max
	}
	if s.cfg.Retry.Wait > 0 {
		wait = s.cfg.Retry.Wait
	}
	for renewed := false; ; {
		token, err := s.cfg.Login.Token(ctx)
		if err != nil {
			return none, err
		}
		out, err := f(metadata.AppendToOutgoingContext(ctx,
			"authorization", "Bearer "+token.Value.RevealString(), "x-goog-request-params", routing(c.routing)))
		if err == nil {
			return out, nil
		}
		err = fail(c, err)
		switch {
		case errs.Is(err, errs.Unauthenticated) && !renewed:
			renewed = true
			again, loginErr := s.cfg.Login.Renew(ctx, token)
			switch {
			case loginErr != nil:
				return none, loginErr
			case !again:
				return none, err
			}
		case errs.Is(err, errs.Unavailable) && retries > 0 && !c.once && ctx.Err() == nil:
			retries--
			select {
			case <-s.cfg.Clock.After(wait):
			case <-ctx.Done():
				return none, err
			}
			wait *= 2
		default:
			return none, err
		}
	}
}

// routing encodes "field=name" for a header.
func routing(s string) string {
	for i, r := range s {
		if r == '=' {
			return s[:i+1] + url.QueryEscape(s[i+1:])
		}
	}
	return s
}

// turn waits for what Google's small quota allows.
func (s *Store) turn(ctx context.Context, c call) error {
	if !c.admin {
		return nil
	}
	if err := pace.Wait(ctx, s.admin, s.cfg.Clock, callTimeout); err != nil {
		return errs.Newf(errs.Exhausted, "%s: waiting for the store's turn, %v calls a second: %w", c.doing, float64(adminPerSecond), err)
	}
	return nil
}
