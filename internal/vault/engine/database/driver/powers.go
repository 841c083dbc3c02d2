package driver

import (
	"context"
	"time"

	"github.com/strongkeep/strongkeep/internal/redact"
)

// What some databases can do besides: a Database that can implements these
// interfaces, too. All of it is safe to run twice, and knows the kinds of errors
// of Database, and NotExist: there is no such user.

// Gatekeeper is a Database that can keep a user out and let it in again.
type Gatekeeper interface {
	// Lock has the server refuse new logins of the user. Its sessions go on, and its
	// password and all it may do stay.
	Lock(ctx context.Context, username string) error
	// Unlock undoes Lock.
	Unlock(ctx context.Context, username string) error
	// EndSessions ends the sessions that the user has. A user who is not there has none.
	EndSessions(ctx context.Context, username string) error
}

// Passwords is a Database whose users can have several passwords at once.
type Passwords interface {
	// AddPassword lets the user log in with this one, too.
	AddPassword(ctx context.Context, username string, password redact.Secret) error
	// RemovePassword takes one of the user's passwords away. One that it has not is success.
	RemovePassword(ctx context.Context, username string, password redact.Secret) error
}

// Ranker is a Database that tells who may do everything.
type Ranker interface {
	// Rules reports whether the user may do everything on the server, as far as it
	// shows us.
	Rules(ctx context.Context, username string) (bool, error)
}

// Witness is a Database that tells who is logged in.
type Witness interface {
	// Sessions are those of a user, as the server sees them now. Partial says, in
	// words, what of them it does not show us, and what to do about that; "" = nothing.
	Sessions(ctx context.Context, username string) (all []Session, partial string, err error)
}

// Session is one login that goes on.
type Session struct {
	Address string    // of the client, without a port; "" = not known
	Client  string    // what the client calls itself; "" = not known
	Since   time.Time // zero = not known
}

// MaxSessions is how many sessions a Witness returns at most; partial says so when
// there are more.
const MaxSessions = 10000
