package driver

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
)

// Type is one kind of database.
type Type struct {
	// Names are what plugin_name may say, the first being the one we prefer.
	Names []string
	// Fields are the connection details that Open understands beyond
	// connection_url, username, password and the sizes of the pool. Those marked
	// Secret are never shown.
	Fields []engine.Field
	// Username is the template of user names where a connection has none of its own.
	Username string
	// MaxUsername is how many bytes the database allows a user name.
	MaxUsername int
	// Open prepares connections without making one. Kind Invalid: a detail is
	// missing or wrong; the text never quotes one.
	Open func(Config) (Database, error)
	// Where says where and as whom Open would log in. Kinds of errors: Open's.
	Where func(Config) (Where, error)
}

// Where is whom a login's password is sent to, and the user whose it is.
type Where struct {
	Server   string // host and port, or a socket; several with commas between them
	Username string
}

// Config is what is known of one database server.
type Config struct {
	URL      string // may hold {{username}} and {{password}}; may be empty
	Username string
	Password redact.Secret
	Details  engine.Body // the connection details, among them Type.Fields
	Pool     Pool
}

// Pool bounds connections.
type Pool struct {
	MaxOpen     int           // at least 1
	MaxIdle     int           // at most MaxOpen; 0 = none is kept
	MaxLifetime time.Duration // 0 = for good
}

// IdleTime is how long a connection that nobody uses is kept.
const IdleTime = 2 * time.Minute

// Database is one server with one login. All methods but Close take a context
// with a deadline and may be called concurrently; connections are made when
// needed. All but Create are safe to run twice.
//
// Kinds of errors: Invalid, the database refuses it; Unavailable, it cannot be
// reached, or it is not known whether it was done. If the login itself is
// refused, for a wrong password, the error is also ErrPassword. No error holds a
// password or the URL: see Hide.
type Database interface {
	// Ping logs in, and does nothing.
	Ping(ctx context.Context) error
	// Create makes the account by its Statements, which must not be empty. An error
	// is engine.Unmade if it is certain that nothing of it was made: the database
	// was not asked, or refused all of it. Then nobody removes anything; in doubt
	// it is not. A name that is taken is refused: the account may be somebody's.
	Create(ctx context.Context, a *Account) error
	// Update sets the password, unless it is empty, and when the account
	// expires, unless that is zero. Without Statements it does so in the way
	// usual for the database.
	Update(ctx context.Context, a *Account) error
	// Delete removes the account, all it may do and its sessions. Without
	// Statements it does so in the way usual for the database. An account that is
	// not there is success.
	Delete(ctx context.Context, a *Account) error
	// Close ends all connections once the calls under way are done. It may be
	// called again.
	Close()
}

// Account is a user of a database, and what is to be done with it.
type Account struct {
	Username   string
	Password   redact.Secret
	Expires    time.Time // zero = the database need not know
	Statements []string  // by the role; empty = the usual ones
}

// ErrPassword is found by errors.Is in errors of a login that was refused
// because of its password.
var ErrPassword = errors.New("the database refuses the user name or password")

// IsPassword reports whether a login was refused because of its password.
func IsPassword(err error) bool { return errors.Is(err, ErrPassword) }

// Timeouts of what is asked of a database.
const (
	LoginTimeout = 10 * time.Second // of a login alone
	CallTimeout  = 30 * time.Second // of making, changing or removing a user
)

// Hide replaces every secret in text, also where it is but part of a word.
func Hide(text string, secrets ...string) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, redact.Placeholder)
		}
	}
	return text
}

// Values are what statements may name, besides the password.
func (a *Account) Values(expiry string) map[string]string {
	v := map[string]string{"name": a.Username, "username": a.Username}
	if !a.Password.Empty() {
		v["password"] = a.Password.RevealString()
	}
	if !a.Expires.IsZero() {
		v["expiration"] = a.Expires.UTC().Format(expiry)
	}
	return v
}
