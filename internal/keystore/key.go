package keystore

import (
	"context"
	"time"

	"github.com/strongkeep/strongkeep/internal/redact"
)

// Key wraps small secrets under a key that it does not give away. It is a
// seal.Wrapper. Methods may be called concurrently.
type Key interface {
	// Name is the kind of store, such as "transit". It is on disk, in what was
	// wrapped, and never changes.
	Name() string
	// KeyID tells one key of the kind from another, without contact, and gives
	// nothing of it away. It stays when the key is turned. At most 255 bytes.
	KeyID() string
	// Wrap encrypts plain under the newest version and binds it to aad. Kind
	// Unavailable if the key cannot be reached now.
	Wrap(ctx context.Context, aad []byte, plain redact.Secret) ([]byte, error)
	// Unwrap returns what Wrap was given, under whatever version it was. Kind
	// Unavailable if the key cannot be reached now; any other kind if it will
	// not open this blob by waiting.
	Unwrap(ctx context.Context, aad, blob []byte) (redact.Secret, error)
}

// Versioned is a Key that is turned: it has versions, of which older ones still
// unwrap.
type Versioned interface {
	Key
	// History asks the store which versions there are. Kinds: Unavailable,
	// NotExist (the key is gone), Conflict (under its name is another key now),
	// Denied, Unsupported (a key of a type that cannot do what is needed).
	History(ctx context.Context) (History, error)
	// WrapAs is Wrap under a certain version of the History.
	WrapAs(ctx context.Context, version string, aad []byte, plain redact.Secret) ([]byte, error)
	// VersionOf returns the version that a blob says it is under. It asks
	// nobody and proves nothing: Unwrap does. Kind Invalid for what is no blob.
	VersionOf(blob []byte) (string, error)
}

// Turner is a Versioned that makes the next version itself.
type Turner interface {
	// Turn makes it. It is not idempotent. Kinds: Denied (whoever is logged in may not),
	// and those of History.
	Turn(ctx context.Context) error
}

// Guide is a Versioned that says what people do in its store: commands, and in words
// what no command does. It asks nobody.
type Guide interface {
	// Next makes the version that follows those of h.
	Next(h History) []string
	// Retire takes versions away, by age, so that they can be brought back, and leaves the
	// one that is to stay: for each of old what is done, in this order. It says so where
	// that cannot be, or where nothing is to be done.
	Retire(old []string, stays string) [][]string
}

// History is what a store says of a key.
type History struct {
	// Lineage names the key itself: it stays when the key is turned, and is
	// another when the key was deleted and made anew under the same name.
	Lineage string
	// Versions by age, at least one. The last one is the newest.
	Versions []Version
}

// Version is one turn of a key.
type Version struct {
	// ID is the store's own, never used twice in one lineage.
	ID string
	// Made is when the store says it was made; zero if it does not say.
	Made time.Time
	// Since is when it came to be a version, where the store can make one of a key that is
	// older, and again of one that was one before; zero if that is when it was made. It is
	// when a version may be used by all, and no part of what it is.
	Since time.Time
	// Wraps says that the store still wraps under it. All that are listed unwrap.
	Wraps bool
}

// Opener opens a key by its settings, JSON without unknown members. It makes no
// contact: a store that is away is one that is Unavailable when it is used.
type Opener func(settings []byte) (Versioned, error)
