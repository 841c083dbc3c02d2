package gcpkms

import (
	"context"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// refusal is an answer of Google.
type refusal struct {
	text string
	code codes.Code
}

func (r *refusal) Error() string { return r.text }

// classify gives a failure of a call a kind and a text: Google's code, what to do, and
// its words where they are about names and rights. What is throttled is Unavailable:
// the same call works later. So is what is no answer of the service.
func classify(ctx context.Context, doing string, err error) error {
	s, ok := status.FromError(err)
	if ctx.Err() != nil || !ok || s.Code() == codes.DeadlineExceeded || s.Code() == codes.Canceled {
		return errs.Newf(errs.Unavailable, "%s: no answer in time", doing)
	}
	kind, advice, shown := meaning(s)
	text := doing + ": Google says " + s.Code().String() + ": " + advice
	if shown {
		text += " (" + plain(s.Message()) + ")"
	}
	return errs.As(kind, &refusal{text, s.Code()})
}

// meaning is what an answer means here, what to do, and whether its words can be shown.
func meaning(s *status.Status) (kind errs.Kind, advice string, shown bool) {
	switch s.Code() {
	case codes.NotFound:
		if strings.Contains(s.Message(), "ryptoKey") { // the library makes such answers too, of pages
			return errs.NotExist, "is the key misspelt?", true
		}
		return errs.Unavailable, "that is no answer of Cloud KMS", false
	case codes.PermissionDenied:
		return errs.Denied, "who signs in needs the roles Cloud KMS CryptoKey Encrypter/Decrypter and Cloud KMS Viewer of the key", true
	case codes.FailedPrecondition:
		return errs.Denied, "the version cannot be used: enable it (gcloud kms keys versions enable), or restore it first (gcloud kms keys versions restore)", true
	case codes.Unauthenticated:
		return errs.Unauthenticated, "the login is not taken: is the key of the service account still one?", false
	case codes.InvalidArgument:
		return errs.Invalid, "it does not open: it was changed, or is bound to something else; or the key cannot do that", false
	case codes.ResourceExhausted:
		return errs.Unavailable, "it throttles, or an answer is too long", false
	case codes.Unavailable:
		return errs.Unavailable, "it is away", strings.HasPrefix(s.Message(), "connection error") || strings.HasPrefix(s.Message(), "name resolver error")
	}
	return errs.Unavailable, "it is in trouble", false
}

// plain makes a text of a server fit for a message.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, strings.Join(strings.Fields(s), " "))
	return s[:min(len(s), 300)]
}

// damaged is the failure of a call whose checksums do not fit.
func damaged(doing string) error {
	return errs.Newf(errs.Unavailable, "%s: what was sent or answered was damaged on the way: its checksum is another", doing)
}
