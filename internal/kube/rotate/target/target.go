package target

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Side is one of the two credentials of a turn.
type Side int

// The new credential of the turn, and the one it replaces.
const (
	New Side = iota
	Old
)

// Turn names one rotation of one credential. Numbers begin at 1 and grow by one.
type Turn struct {
	Number int64
	// Rotation is namespace/name of who asks. A target refuses (Conflict) an act for
	// a credential that another Rotation is turning, and an act for a turn that is
	// not the present one: so an operator that was paused does no harm.
	Rotation string
	// Fence grows from act to act of a turn. A target refuses (Conflict) an act with
	// a lower one than it has seen in the turn: it comes late, from an operator that
	// was stopped after it had announced it, and others have gone on meanwhile. 0 is
	// none, and lower than all. What a target cannot refuse for want of a backend
	// that compares numbers, its documentation says.
	Fence int64
}

// Target turns one credential. Every act is idempotent: done again for the
// same turn and side it succeeds and changes nothing. Kinds of error: Invalid,
// Denied and NotExist need a person; Conflict is a turn that is not the present
// one; Unavailable is worth another try; Pending says that somebody else must
// first do something. No error, and nothing returned, holds a secret.
type Target interface {
	// Stage makes the new credential beside the old one, stores it sealed before it
	// is used, and proves it by using it. Readers do not see it.
	Stage(ctx context.Context, t Turn) (State, error)
	// Publish makes readers see side. With Old it undoes itself.
	Publish(ctx context.Context, t Turn, side Side) (State, error)
	// Close makes the old credential useless to who would log in anew, reversibly.
	// What cannot be closed reversibly stays as it is.
	Close(ctx context.Context, t Turn) error
	// Reopen undoes Close, proven by a use of it where that is possible.
	Reopen(ctx context.Context, t Turn) error
	// Retire removes side for good and proves that it does not work any more. With
	// New it ends a turn that went back; readers must see the other one.
	Retire(ctx context.Context, t Turn, side Side) error
}

// String returns "new" or "old".
func (s Side) String() string {
	if s == Old {
		return "old"
	}
	return "new"
}

// State is what readers see.
type State struct {
	// Location is where the credential is read, as provider.Locator names it.
	Location string
	// Version that readers see, as provider.Value.Version names it.
	Version string
	// Changed is when that was published; zero when it is not known.
	Changed time.Time
	// Turn is the last one that the target knows of; 0 for none.
	Turn int64
	// MaxAge is how old, from Changed, it may get by what it is, such as a certificate
	// that ends; 0: as old as the policy lets it.
	MaxAge time.Duration
}

// Observer is a Target that can say what readers see without an act. All but
// webhooks are.
type Observer interface {
	Observe(ctx context.Context) (State, error)
}

// Witness is a Target whose backend sees who uses which credential.
type Witness interface {
	Sessions(ctx context.Context, t Turn) (Sessions, error)
}

// Sessions are the uses that the backend sees now, or, where it only
// remembers, since the credential was published.
type Sessions struct {
	New, Old []Session
	// LastOld is the last use of the old credential, where the backend remembers.
	LastOld time.Time
	// Partial says what the backend cannot see, such as "addresses: behind a proxy".
	Partial string
}

// Session is one use.
type Session struct {
	Address string // of the client, without port; empty when unknown
	Client  string // such as an application_name; public
	Since   time.Time
}

// Rehearser is a Target that can try everything up to publishing and leave
// nothing behind.
type Rehearser interface {
	// Rehearse returns a line for each thing tried.
	Rehearse(ctx context.Context, t Turn) ([]string, error)
}

// Lender is a Target that can hand out what is staged, for a rehearsal.
type Lender interface {
	// Lend returns what readers of State.Location would read if the turn, which is
	// staged and not published, were published: a JSON object of its properties.
	Lend(ctx context.Context, t Turn) (redact.Secret, error)
}

// Adopter is a Target where a turn can have been left open by a Rotation of the same
// name that is gone: one that was deleted after it had published, and made anew.
type Adopter interface {
	// Adopt ends it for turn t of the Rotation that is there now, so that t can be
	// staged. It does nothing when the target has no open turn, when that is t, or when
	// it is another Rotation's; what readers see stays as it is.
	Adopt(ctx context.Context, t Turn) error
}

// Confirmable is a Target that cannot remove a credential itself: a person does,
// and says so.
type Confirmable interface {
	// Confirm notes that a person says that side of the turn is removed where it
	// was made. Until then Retire of side is Pending. It is idempotent.
	Confirm(ctx context.Context, t Turn, side Side) error
}

// Prover is a Target that says by what it is known that a credential which Retire
// has removed is of no use any more; of others nothing is known but that Retire
// succeeded.
type Prover interface {
	// Removal says it. proven: a use of the credential was tried and refused, and it
	// is not only somebody's word.
	Removal() (text string, proven bool)
}

// Vault is the store of a Rotation, reached as its SecretStore says.
type Vault interface {
	// Call makes one request. path is without "/v1/"; body is sent as JSON when not
	// nil. The answer is its "data", nil when there is none.
	Call(ctx context.Context, method, path string, body any) (json.RawMessage, error)
	// Locate returns the Location of a key, given as an API path such as
	// "secret/data/x" or "database/alternating-creds/x".
	Locate(path string) string
}

// Config is what a Target is made from.
type Config struct {
	Spec     v1alpha1.Target
	Rotation string // namespace/name
	Scope    provider.Scope
	Vault    Vault
	Cluster  provider.Cluster // reads the Secrets that Spec refers to
	Clock    clock.PassiveClock
	Log      *slog.Logger
}

// Kind makes Targets of one kind. It is stateless.
type Kind interface {
	// Open checks the spec (Invalid names the field) and makes a Target. It reaches
	// nothing.
	Open(cfg Config) (Target, error)
}

// Pending is what a Target returns when somebody must do something first; it
// says what.
func Pending(what string) error { return pending{errs.New(errs.Unavailable, what)} }

type pending struct{ error }

func (p pending) Unwrap() error { return p.error }

// IsPending reports whether err is one of Pending, and not an outage.
func IsPending(err error) bool {
	var p pending
	return errors.As(err, &p)
}
