package rootkey

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Wrapper is a key outside the vault's storage that wraps the root key, so
// that the vault unseals without people. A keystore.Key is one; package
// keystoretest has the suite that each one passes. Methods may be called
// concurrently, and return when their context ends.
type Wrapper interface {
	// Name is the kind of key, such as "keyfile". It is written to storage and
	// is the seal type that clients see, so it never changes.
	Name() string
	// KeyID tells one key of the kind from another and gives nothing of it
	// away: a fingerprint, a KMS key's name. At most 255 bytes.
	KeyID() string
	// Wrap encrypts key and binds it to aad. Kind Unavailable if the key
	// cannot be reached now.
	Wrap(ctx context.Context, aad []byte, key redact.Secret) ([]byte, error)
	// Unwrap returns what Wrap was given. Kind Unavailable if the key cannot
	// be reached now; any other kind if it will never open this blob.
	Unwrap(ctx context.Context, aad, blob []byte) (redact.Secret, error)
}

// DefaultWithin is how long one use of an unseal key may take.
const DefaultWithin = 10 * time.Second

// Named is a Wrapper as the operator configured it: with a name and a time that each use of it may
// take. A Wrapper that is none is called by its kind and has DefaultWithin.
type Named struct {
	Wrapper
	As     string        // at most 64 bytes; "" = the kind
	Within time.Duration // 0 = DefaultWithin
}

// AsNamed returns by as a Named one whose fields are all set.
func AsNamed(by Wrapper) Named {
	n, is := by.(Named)
	if !is {
		n = Named{Wrapper: by}
	}
	n.As, n.Within = cmp.Or(n.As, n.Name()), cmp.Or(n.Within, DefaultWithin)
	return n
}

// Opens tells whether n is the key of w.
func (n Named) Opens(w Wrapping) bool { return w.Kind == n.Name() && w.KeyID == n.KeyID() }

// Wrap is the Wrapper's, with a deadline.
func (n Named) Wrap(ctx context.Context, aad []byte, key redact.Secret) (blob []byte, err error) {
	err = n.within(ctx, func(ctx context.Context) error {
		blob, err = n.Wrapper.Wrap(ctx, aad, key)
		return err
	})
	return blob, err
}

// Unwrap is the Wrapper's, with a deadline.
func (n Named) Unwrap(ctx context.Context, aad, blob []byte) (key redact.Secret, err error) {
	err = n.within(ctx, func(ctx context.Context) error {
		key, err = n.Wrapper.Unwrap(ctx, aad, blob)
		return err
	})
	return key, err
}

func (n Named) within(ctx context.Context, use func(context.Context) error) error {
	limit := cmp.Or(n.Within, DefaultWithin)
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := use(limited)
	if err != nil && ctx.Err() == nil && errors.Is(limited.Err(), context.DeadlineExceeded) {
		return errs.Newf(errs.Unavailable, "no answer within %v: %w", limit, err)
	}
	return err
}

// AllNamed is AsNamed of each.
func AllNamed(all []Wrapper) []Named {
	out := make([]Named, len(all))
	for i, by := range all {
		out[i] = AsNamed(by)
	}
	return out
}

// Failed is what it means that every key failed: of the kind of one that may work later, if there is one.
func Failed(all []error) error {
	slices.SortStableFunc(all, func(a, b error) int { return hopeless(a) - hopeless(b) })
	return errors.Join(all...)
}

// hopeless is 0 for a key that may work later without anybody's help, otherwise 1: the kind of
// several errors is that of the first.
func hopeless(err error) int {
	if errs.Is(err, errs.Unavailable) || errs.Is(err, errs.Exhausted) {
		return 0
	}
	return 1
}
