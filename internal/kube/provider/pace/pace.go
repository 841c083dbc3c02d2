// Package pace has calls to a backend wait for their turn.
//
// Start reading at Wait.
package pace

import (
	"context"
	"errors"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/utils/clock"
)

// ErrFull is what comes of a turn that is too far away.
var ErrFull = errors.New("too many calls wait for their turn")

// Wait waits until limit lets one more call go, for most at the most; 0 is without
// bound. An error is ErrFull or that of ctx; the turn is given back then, as far as
// it can be, so that calls that are never made do not keep others waiting.
func Wait(ctx context.Context, limit *rate.Limiter, c clock.Clock, most time.Duration) error {
	now := c.Now()
	if most > 0 && (1-limit.TokensAt(now))/float64(limit.Limit()) > most.Seconds() {
		return ErrFull // before a turn is taken: one that others stand behind cannot be given back
	}
	turn := limit.ReserveN(now, 1)
	wait := turn.DelayFrom(now)
	if wait <= 0 {
		return nil
	}
	if most > 0 && wait > most {
		turn.CancelAt(now)
		return ErrFull
	}
	timer := c.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C():
		return nil
	case <-ctx.Done():
		turn.CancelAt(c.Now())
		return ctx.Err()
	}
}
