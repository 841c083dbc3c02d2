package engine

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

// Engine is something mounted at a path. Its handlers are called concurrently.
// Optional powers are the small interfaces below.
type Engine interface {
	// Routes is called once, at mount. The first route whose pattern matches wins.
	Routes() []Route
	// Close stops what the engine runs in the background and waits for it.
	Close() error
}

// Setter is an engine that writes initial state in the transaction that mounts it.
type Setter interface {
	Setup(ctx context.Context, tx Tx) error
}

// TokenWatcher is an engine that keeps something per token, and drops it in
// the transaction that removes the token.
type TokenWatcher interface {
	TokenGone(ctx context.Context, tx Tx, tokenKey string) error
}

// Renewer is an auth method that has a say when a token it gave is renewed:
// an error refuses the renewal; the returned Auth's TTLs replace the old ones.
// A nil Auth leaves them as they are.
type Renewer interface {
	Renew(ctx context.Context, tx Tx, auth *Auth) (*Auth, error)
}

// Factory makes an engine for one mount. It is called at mount and at unseal,
// must not block on the network, and reads no state: state is in the Tx.
type Factory func(cfg Config) (Engine, error)

// Config is what an engine gets from the core. All fields are set.
type Config struct {
	MountID   string            // UUID of the mount; survives a remount
	MountPath func() string     // "secret/", as it is now
	Options   map[string]string // as given to sys/mounts, for example version=2
	Log       *slog.Logger
	Now       func() time.Time // the clock; UTC
	Random    io.Reader        // crypto/rand outside tests
	TTL       func() TTLs      // the mount's effective TTLs, as they are now

	// Lockout is when the mount, an auth method, stops listening to a user, as it is now.
	Lockout func() Lockout

	// Update runs change in a transaction of its own, confined to the mount, and
	// commits it, anew on fresh state after a conflict: for Response.After
	// and the like, never within a handler's own transaction. Kinds: those of
	// change; NotExist if the mount was removed, Unavailable if the store fails.
	Update func(ctx context.Context, change func(ctx context.Context, tx Tx) error) error
	// Duty is Update for Worker: of kind Unavailable, and nothing is written, unless
	// this node does the background work from its beginning to its commit.
	Duty func(ctx context.Context, change func(ctx context.Context, tx Tx) error) error
	// Wake has Work called soon, if the engine is a Worker. It does not wait.
	Wake func()
	// Password makes a password by the policy of that name in the mount's
	// namespace; "" is the default policy. Kind Invalid: there is no such policy.
	Password func(ctx context.Context, policy string) (redact.Secret, error)
}

// TTLs are the default and the longest lifetime of leases and tokens of a mount.
type TTLs struct{ Default, Max time.Duration }

// Entry is one stored value; see store.Entry.
type Entry = store.Entry

// Tx is an engine's view of its own storage within one request: confined to
// its mount, seeing its own writes, committed by the gate or not at all.
// It must not be kept after the handler returns, nor used by two goroutines.
type Tx interface {
	// Get returns the entry at key; Entry.Exists is false if there is none.
	// Use store.Decode to decode it once per revision.
	Get(ctx context.Context, key string) (Entry, error)
	// List returns names directly below folder ("" or ending in "/"), folders
	// as "name/", in a fixed order that need not be alphabetical, starting
	// behind after, at most limit (0 = all).
	List(ctx context.Context, folder, after string, limit int) ([]string, error)
	// Put writes value at key; the value must not be changed afterwards.
	Put(key string, value []byte)
	// Delete removes key if it is there.
	Delete(key string)
	// Emit announces a change; it is published if and when the request commits.
	Emit(e Event)
}

// Event is one change that subscribers may hear of. It names, it never holds values.
type Event struct {
	Type     string            // for example "kv-v2/data-write"
	Path     string            // path within the mount, for example "data/my-app/config"
	Metadata map[string]string // for example current_version, operation, modified
}
