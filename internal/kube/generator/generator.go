package generator

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"strings"
	"time"

	"k8s.io/utils/clock"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Kind makes credentials. It is stateless and safe for concurrent use.
type Kind interface {
	// Generate makes one set of credentials. It reads the spec strictly: an unknown
	// field is Invalid and named. When it fails, nothing is left behind that it
	// could take back, as far as the backend can be reached.
	Generate(ctx context.Context, cfg Config) (Made, error)
}

// Revoker is a Kind whose credentials live elsewhere until they are taken back.
type Revoker interface {
	Kind
	// Revoke takes back what Generate said of a credential. One that is gone is no
	// error. cfg is as it was for Generate, but for Note.
	Revoke(ctx context.Context, cfg Config, known json.RawMessage) error
}

// Renewer is a Revoker whose credentials can be made to live longer.
type Renewer interface {
	Revoker
	// Renew makes a credential live longer and returns when it ends now, the zero
	// time for never. NotExist: it is gone already, and must be made anew.
	Renew(ctx context.Context, cfg Config, known json.RawMessage) (expires time.Time, err error)
}

// Drawer is a Kind that draws what lives nowhere but in the Secret, so that a value
// somebody else drew is as good as one of its own.
type Drawer interface {
	Kind
	// Keys are those that Generate gives for a spec. It draws nothing.
	Keys(spec json.RawMessage) ([]string, error)
}

// Config is what credentials are made from.
type Config struct {
	Scope   provider.Scope   // whose Secrets and ServiceAccounts may be used
	Spec    json.RawMessage  // the spec of the generator object
	Cluster provider.Cluster // reads what Spec refers to
	Clock   clock.Clock
	Log     *slog.Logger
	// Note, of a Revoker's Generate, writes down what is known of a credential that
	// is being made. It may be called several times; each replaces what was noted
	// before. When it fails Generate must fail. It is nil where nobody notes.
	Note func(ctx context.Context, known json.RawMessage) error
}

// Made is a set of credentials.
type Made struct {
	Data map[string]redact.Secret
	// Known is what Revoke needs to find the credential: a lease or an id, never its
	// value. nil: there is nothing to take back.
	Known json.RawMessage
	// Expires is when the credential ends; zero: it does not, as far as is known.
	Expires time.Time
	// Renewable says that Renew may make it later.
	Renewable bool
}

// Decode reads spec, refusing unknown fields by name.
func Decode(spec json.RawMessage, into any) error {
	if len(spec) == 0 {
		spec = json.RawMessage("{}")
	}
	dec := json.NewDecoder(bytes.NewReader(spec))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return errs.Newf(errs.Invalid, "spec: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// Values returns the parts of a JSON object: a text without its quotes, anything
// else as JSON. Invalid, without a word of it, is what is no object.
func Values(object json.RawMessage) (map[string]redact.Secret, error) {
	return provider.Value{Data: redact.New(object)}.Map()
}
