package provider

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Provider makes Stores of one kind. It is stateless and safe for concurrent use.
type Provider interface {
	// Open reads the settings strictly (an unknown field is Invalid and named)
	// and the credentials they refer to, and returns a Store. It need not reach
	// the backend; Store.Check does. The caller closes the Store.
	Open(ctx context.Context, cfg Config) (Store, error)
}

// ErrUnverifiable is what Store.Check returns when it cannot tell whether the
// store works.
var ErrUnverifiable = errs.New(errs.Unsupported, "this store cannot be checked")

// Config is what a Store is made from.
type Config struct {
	Scope    Scope           // whose credentials may be read
	Settings json.RawMessage // the value of spec.provider.<name>
	Retry    Retry
	Cluster  Cluster // reads what Settings refer to
	Clock    clock.Clock
	Log      *slog.Logger
}

// Retry bounds the retries of one call. Zero values mean the provider's default.
type Retry struct {
	Max  *int          // nil: default; 0: no retry
	Wait time.Duration // between tries
}

// Read makes a call that changes nothing, and makes it again while it is Unavailable,
// as often as r says; the default is once.
func (r Retry) Read(ctx context.Context, c clock.Clock, call func() error) error {
	wait, left := r.Wait, 0
	if wait <= 0 {
		wait = 500 * time.Millisecond
	}
	if r.Max != nil {
		left = *r.Max
	}
	for {
		err := call()
		if !errs.Is(err, errs.Unavailable) || left <= 0 {
			return err
		}
		left--
		select {
		case <-c.After(wait):
		case <-ctx.Done():
			return err
		}
	}
}

// Store is one external store with one set of credentials, shared by every
// object that refers to it and safe for concurrent use. It logs in when first
// needed and keeps that login; it never logs in once per call.
type Store interface {
	// Check makes a real call that shows whether the credentials are accepted.
	Check(ctx context.Context) error
	// Read returns one whole secret. Part of it is taken with Value.Property.
	Read(ctx context.Context, req Request) (Value, error)
	// Close ends the login, as far as it is the Store's own, and every goroutine.
	// It is called once; no other call comes after it.
	Close(ctx context.Context) error
}

// Request names what to read. It is comparable: equal requests to one store may
// be answered by one call.
type Request struct {
	Key      string
	Version  string // the latest when empty
	Metadata bool   // the secret's own metadata instead of its value
	Property string // only of a store that is a Picker: the part that is wanted
	For      string `json:"-"` // the namespace that asks; no part of what is read, and a Store is not told
}

// Picker is a Store that is told which part of a secret is wanted, because what it
// asks for depends on it.
type Picker interface {
	// Picks reports whether this store wants Request.Property. It reaches nothing.
	Picks() bool
}

// Value is what was read.
type Value struct {
	// Data is the secret as the store has it: a JSON object when it has parts. It is
	// empty when there are Parts and one of them is not text.
	Data redact.Secret
	// Parts are those of a secret whose parts are bytes rather than JSON; nil for
	// others, whose parts are in Data.
	Parts map[string]redact.Secret
	// Picked says that the store has picked the part that the request named.
	Picked bool
	// Version as the store names it; empty when it has none. Public.
	Version string
	// Began is when the read began, where reads are shared; a Store leaves it zero.
	Began time.Time
	// Access is by what it was read, where reads are shared; a Store leaves it zero.
	Access Access
	// Expires is when the secret ends to be good, where the store says so; else zero.
	Expires time.Time
}

// Rated is a Provider that knows its backend's quota. Reads of one store keep
// to it.
type Rated interface {
	// Rate returns how many calls a second one store takes, and how many at once.
	Rate() (perSecond float64, burst int)
}

// Notifier is a Store that can say that a secret changed.
type Notifier interface {
	// Topic returns the name under which changes of key are reported.
	Topic(key string) string
	// Notify reports changes until ctx ends or the connection is lost, and
	// returns why. Before anything else it reports Connected. Unsupported means
	// the server has no such thing and that trying soon again is useless.
	// report does not block.
	Notify(ctx context.Context, report func(Change)) error
}

// Change is one report of a Notifier. One field is set.
type Change struct {
	Connected bool   // from now on nothing is missed; what happened before is unknown
	Topic     string // what changed
	// Unread is why a message could not be read, which is lost: nobody knows what it was
	// about. It holds nothing of the message.
	Unread error
}

// Listener is a Store of whose changes a queue of its cloud tells.
type Listener interface {
	// Listen returns what reads the queue that address names, such as "sqs:https://…",
	// with this Store's own identity, as long as the Store is open. It reaches nothing.
	// What is no address for this store is Invalid.
	Listen(address string) (Notifier, error)
}

// Caller is a Store that passes requests of its own wire on, for who turns
// credentials and does not only read them.
type Caller interface {
	// Call makes one authenticated request. path is that of the store's own API: for
	// a vault what stands behind "/v1/", with a query if need be. body is sent as
	// JSON; nil sends none. The answer is its "data", nil when there is none.
	// Besides the kinds of Read, Invalid is what the server refuses as a bad
	// request, which may be a version that is not the current one, and Conflict is
	// what it says is one. No error holds anything of the body.
	Call(ctx context.Context, method, path string, body any) (json.RawMessage, error)
}

// Holder is a Store whose backend tells its clients apart.
type Holder interface {
	// Accessors are the public names of the tokens that this Store has made or was
	// given and that may still live. It reaches nothing.
	Accessors() []string
}

// Locator is a Store that can say where its secrets are in a way that does not
// depend on who refers to them: two names are equal when the secrets are the
// same. Names are public.
type Locator interface {
	// Locate names what is at a path of the store's own API.
	Locate(path string) string
	// LocateKey names what Read reads for key; "" when it is no key.
	LocateKey(key string) string
}

// Placer is a Provider that can say where a store's secrets are by its settings
// alone, for stores of other clusters, which are never opened.
type Placer interface {
	// Place names what Read of a store with these settings reads for key, as Locator
	// does; "" when it is no key. Fields that are not known are passed over.
	Place(settings json.RawMessage, key string) (string, error)
}

// Cluster reads the objects that a store's settings refer to. Only a Scope makes Refs.
type Cluster interface {
	// SecretKey returns one key of a Secret.
	SecretKey(ctx context.Context, ref Ref, key string) (redact.Secret, error)
	// ConfigMapKey returns one key of a ConfigMap.
	ConfigMapKey(ctx context.Context, ref Ref, key string) (string, error)
	// ServiceAccountToken asks for a short-lived token of a ServiceAccount.
	// No audiences mean the API server's own.
	ServiceAccountToken(ctx context.Context, ref Ref, audiences []string) (redact.Secret, error)
	// ServiceAccountAnnotations returns the annotations of a ServiceAccount, where
	// clouds have the name of the identity that it stands for.
	ServiceAccountAnnotations(ctx context.Context, ref Ref) (map[string]string, error)
}

// Labelled is a Cluster that reads whole Secrets which say by a label that they may
// be read so.
type Labelled interface {
	// LabelledSecret returns the data of a Secret that has a label with that value;
	// Denied is one that has not.
	LabelledSecret(ctx context.Context, ref Ref, label, value string) (map[string]redact.Secret, error)
}
