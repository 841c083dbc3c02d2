package rotation

import (
	"context"
	"time"

	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/database/driver"
)

// Subject is whose password changes: a connection's own user, or a static role's.
type Subject struct {
	Root bool
	Name string // of the connection or the static role
}

// String names the subject in errors and logs.
func (s Subject) String() string {
	if s.Root {
		return "the connection " + s.Name
	}
	return "the static role " + s.Name
}

// Target is a Subject with what a change of its password needs. It belongs to
// whoever loaded it.
type Target struct {
	Subject
	State       *State   // a copy of what is stored, which Save stores
	Connection  string   // the name of its connection; Targets of one take turns in Work
	Server      Server   // its connection's; one that always fails if there is none
	Username    string   // whose password it is
	Policy      string   // by which passwords are made; "" = the default
	Statements  []string // that set a password; empty = the database's usual ones
	SelfManaged bool     // the user sets its own password, with the old one
	SkipLogin   bool     // a new password is not proved by a login

	claims  []string  // made by whoever has this target
	setting string    // the password that is being set
	until   time.Time // when it is too late to begin to set it, by the monotonic clock
	// Save writes State, and what it is part of, in a transaction.
	Save func(tx engine.Tx) error
}

// Load reads a Subject; nil if it is not there.
type Load func(ctx context.Context, tx engine.Tx, s Subject) (*Target, error)

// Server is a database server as one connection is configured. Its methods may be
// called concurrently. Kinds of errors are those of driver.Database.
type Server interface {
	// Version differs after every change of the connection's configuration.
	Version() string
	// Use calls f, within a timeout, with a database into which the connection's
	// own user has logged in.
	Use(ctx context.Context, timeout time.Duration, f func(context.Context, driver.Database) error) error
	// Open prepares a database with another login; the caller closes it.
	Open(username, password string) (driver.Database, error)
	// Login proves that a user can log in with a password.
	Login(ctx context.Context, username, password string) error
	// Reset closes what Use has open.
	Reset()
}
