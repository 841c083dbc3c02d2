package engine

import (
	"context"
	"time"
)

// Lockout says when an auth method with guessable secrets stops listening to a
// user; see sys/auth/P/tune, user_lockout_config.
type Lockout struct {
	Threshold int           // failures that lock
	Duration  time.Duration // how long
	Reset     time.Duration // failures further apart than this do not add up
	Disabled  bool
}

// DefaultLockout is what holds where nothing is tuned.
func DefaultLockout() Lockout {
	return Lockout{Threshold: 5, Duration: 15 * time.Minute, Reset: 15 * time.Minute}
}

// Locker is an auth method that locks users out.
type Locker interface {
	// Locked returns the aliases of those who are locked out now, sorted.
	Locked(ctx context.Context, tx Tx) ([]string, error)
	// Unlock lets one of them try again; one who is not locked is no error.
	Unlock(ctx context.Context, tx Tx, alias string) error
}
