package errs

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
)

// Kind says what class of failure an error is. The list is closed: a new kind
// needs a row in table and a decision record.
type Kind uint8

// The kinds. The zero value is Internal, so that an error nobody classified is
// reported as our fault and its text is kept from clients.
const (
	Internal        Kind = iota // a bug or a broken invariant of ours
	Invalid                     // the request cannot be right, whatever the state
	Unauthenticated             // who is asking is not known
	Denied                      // who is asking may not
	NotExist                    // what is asked for is not there
	Exist                       // what is to be made is there already
	Conflict                    // the state changed under the request; re-read and try again
	Sealed                      // the vault is sealed or not initialised
	Unavailable                 // something needed is down; the same request may work later
	TooLarge                    // over a size limit
	Exhausted                   // over a rate, quota or count limit
	Unsupported                 // the thing exists but does not have this operation
	kindCount
)

type row struct {
	name   string
	http   int
	grpc   uint32 // google.golang.org/grpc/codes.Code
	exit   int
	reason string // CamelCase, for Kubernetes conditions and events
}

// table gives each kind its meaning on every wire. Exit codes are documented
// in docs/cli.md; 0 is success and 2 is wrong usage or a request that cannot be right.
var table = [kindCount]row{
	Internal:        {"internal error", 500, 13, 1, "InternalError"},
	Invalid:         {"invalid", 400, 3, 2, "Invalid"},
	Unauthenticated: {"unauthenticated", 403, 16, 3, "Unauthenticated"},
	Denied:          {"denied", 403, 7, 4, "Denied"},
	NotExist:        {"not found", 404, 5, 5, "NotFound"},
	Exist:           {"already exists", 400, 6, 6, "AlreadyExists"},
	Conflict:        {"conflict", 400, 10, 6, "Conflict"},
	Sealed:          {"sealed", 503, 14, 7, "Sealed"},
	Unavailable:     {"unavailable", 503, 14, 8, "Unavailable"},
	TooLarge:        {"too large", 413, 11, 2, "TooLarge"},
	Exhausted:       {"exhausted", 429, 8, 8, "Throttled"},
	Unsupported:     {"unsupported", 405, 12, 2, "Unsupported"},
}

// String returns a lower-case name such as "not found".
func (k Kind) String() string { return table[k.index()].name }

// HTTPStatus returns the status code the vault answers with.
func (k Kind) HTTPStatus() int { return table[k.index()].http }

// GRPCCode returns the numeric google.golang.org/grpc/codes.Code.
func (k Kind) GRPCCode() uint32 { return table[k.index()].grpc }

// ExitCode returns the exit status of a command that ended with this kind.
func (k Kind) ExitCode() int { return table[k.index()].exit }

// Reason returns the CamelCase reason for a Kubernetes condition.
func (k Kind) Reason() string { return table[k.index()].reason }

func (k Kind) index() Kind {
	if k >= kindCount {
		return Internal
	}
	return k
}

// failure is an error with a kind. Its text is msg, or msg followed by the
// wrapped error's text.
type failure struct {
	kind Kind
	msg  string
	err  error
}

func (f *failure) Error() string {
	switch {
	case f.err == nil:
		return f.msg
	case f.msg == "":
		return f.err.Error()
	}
	return f.msg + ": " + f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

// New returns an error of kind k with the text msg.
func New(k Kind, msg string) error { return &failure{kind: k, msg: msg} }

// Newf is New with a format. A %w operand is wrapped, and k overrides its kind.
func Newf(k Kind, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	if inner := errors.Unwrap(err); inner != nil {
		return &failure{kind: k, err: err}
	}
	return &failure{kind: k, msg: err.Error()}
}

// As gives err the kind k and keeps its text. As(k, nil) is nil.
func As(k Kind, err error) error {
	if err == nil {
		return nil
	}
	return &failure{kind: k, err: err}
}

// Panicked is the Internal error of a panic, with the stack it happened on: call
// it with what recover returned, in the deferred function. What a panic was with
// may hold a secret, and is kept only if the runtime said it.
func Panicked(p any) error {
	cause, ok := p.(runtime.Error)
	if !ok {
		cause = nil
	}
	return Newf(Internal, "a handler panicked with a %T: %v\n%s", p, cause, debug.Stack())
}

// KindOf returns the kind of the outermost classified error in err's chain.
// A context that ended counts as Unavailable; anything else unclassified,
// and nil, is Internal.
func KindOf(err error) Kind {
	var f *failure
	if errors.As(err, &f) {
		return f.kind
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return Unavailable
	}
	return Internal
}

// Is reports whether err is not nil and of kind k.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }
