package wire

import (
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// refusal is an answer of Google under a text that can be shown.
type refusal struct {
	text string
	code codes.Code
}

func (r *refusal) Error() string { return r.text }

// Code returns the code of what Google answered, OK when err is no answer.
func Code(err error) codes.Code {
	var r *refusal
	if errors.As(err, &r) {
		return r.code
	}
	return codes.OK
}

// fail gives an error of a call its kind, and a text of Google's code and, where they
// cannot quote a secret, its words. What is not an answer of the service is
// Unavailable: an outage never looks like a deletion.
func fail(c Call, err error) error {
	s, ok := status.FromError(err)
	if !ok {
		s = status.FromContextError(err)
	}
	kind := kindOf(c, s)
	text := c.Doing + ": Google says " + s.Code().String()
	switch words := said(c, s); {
	case kind == errs.TooLarge:
		return errs.Newf(kind, "%s: the answer is over %d MiB", c.Doing, maxAnswer>>20)
	case words != "":
		text += ": " + words
	}
	return errs.As(kind, &refusal{text, s.Code()})
}

// kindOf returns the kind of an answer. The library makes answers of its own of what
// is no answer: of a page of HTML with status 404 Unimplemented, and the like.
func kindOf(c Call, s *status.Status) errs.Kind {
	switch s.Code() {
	case codes.NotFound:
		if strings.Contains(strings.ToLower(s.Message()), c.Gone) {
			return errs.NotExist
		}
		return errs.Invalid
	case codes.PermissionDenied:
		return errs.Denied
	case codes.Unauthenticated:
		return errs.Unauthenticated
	case codes.ResourceExhausted:
		if strings.HasPrefix(s.Message(), "grpc: received message") { // the library's, of an answer
			return errs.TooLarge
		}
		return errs.Exhausted
	case codes.InvalidArgument, codes.OutOfRange, codes.FailedPrecondition:
		return errs.Invalid
	case codes.AlreadyExists, codes.Aborted:
		return errs.Conflict
	}
	return errs.Unavailable
}

// said returns the words of an answer that can be shown: those about names and
// permissions, and the library's own about a connection.
func said(c Call, s *status.Status) string {
	switch s.Code() {
	case codes.PermissionDenied, codes.FailedPrecondition, codes.NotFound:
		return plain(s.Message(), 400)
	case codes.InvalidArgument:
		if !c.Secret {
			return plain(s.Message(), 400)
		}
	case codes.Unavailable:
		if strings.HasPrefix(s.Message(), "connection error") || strings.HasPrefix(s.Message(), "name resolver error") {
			return plain(s.Message(), 256)
		}
	}
	return ""
}

// plain makes a text of a server fit for a message.
func plain(s string, limit int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, strings.Join(strings.Fields(s), " "))
	if len(s) > limit {
		s = s[:limit] + "..."
	}
	return s
}
