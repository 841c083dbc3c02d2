package secretmanager

import (
	"context"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/wire"
	"github.com/strongkeep/strongkeep/internal/kube/provider/pace"
)

// adminPerSecond is a fifth of the reads that a project is allowed, 600 a minute,
// without those of values.
const (
	adminPerSecond = rate.Limit(2)
	adminBurst     = 60
)

// dial returns a connection to the service of a location.
func dial(endpoint, location string) (*grpc.ClientConn, error) {
	host := "secretmanager.googleapis.com"
	if location != "" {
		host = "secretmanager." + location + ".rep.googleapis.com"
	}
	return wire.Dial(host, "GCP_SECRETMANAGER_ENDPOINT", endpoint)
}

// call describes one call.
type call struct {
	wire.Call
	admin bool // it counts as a read or a write of Google's small quota
}

// do makes one call when it is the store's turn.
func do[T any](ctx context.Context, s *Store, c call, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, wire.Timeout)
	defer cancel()
	if err := s.turn(ctx, c); err != nil {
		var none T
		return none, err
	}
	c.Gone = "secret" // secrets are named in it
	return wire.Do(ctx, wire.Caller{Login: s.cfg.Login, Retry: s.cfg.Retry, Clock: s.cfg.Clock}, c.Call, f)
}

// turn waits for what Google's small quota allows.
func (s *Store) turn(ctx context.Context, c call) error {
	if !c.admin {
		return nil
	}
	if err := pace.Wait(ctx, s.admin, s.cfg.Clock, wire.Timeout); err != nil {
		return errs.Newf(errs.Exhausted, "%s: waiting for the store's turn, %v calls a second: %w", c.Doing, float64(adminPerSecond), err)
	}
	return nil
}
