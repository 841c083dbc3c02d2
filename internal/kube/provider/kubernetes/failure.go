package kubernetes

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"unicode"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
)

// call is one call, for messages.
type call struct {
	doing string
	// name of the Secret that is meant, if it is one: only of that one does an answer
	// say that it is not there.
	name string
	// words says that the answer's own words may be shown: nothing secret was sent that
	// they could quote.
	words bool
}

// garbage is for an answer that is not what was asked for.
func (c call) garbage() error {
	return errs.Newf(errs.Unavailable, "%s: the answer is not an API server's: check server.url, and what stands between", c.doing)
}

// refusal is an answer of an API server under a text that can be shown.
type refusal struct{ text string }

func (r *refusal) Error() string { return r.text }

// do makes one call and gives its failure a kind.
func (s *store) do(ctx context.Context, c call, req *rest.Request) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	got := req.SetHeader("Content-Type", "application/json").MaxRetries(0).Do(ctx)
	err := got.Error()
	if err == nil {
		return got.Raw()
	}
	var answer *apierrors.StatusError
	if !errors.As(err, &answer) {
		return nil, c.unanswered("the API server at "+s.where, err)
	}
	if token, err := s.token(ctx); err != nil || !token.Empty() && strings.Contains(answer.ErrStatus.Message, token.RevealString()) {
		c.words = false
	}
	return nil, c.refused(answer)
}

// refused gives an answer its kind and a text that can be shown.
func (c call) refused(answer *apierrors.StatusError) error {
	status := answer.Status()
	if apierrors.IsUnexpectedServerError(answer) { // of whatever stands in front of it
		kind := errs.Unavailable
		switch status.Code {
		case http.StatusTooManyRequests:
			kind = errs.Exhausted
		case http.StatusUnauthorized:
			kind = errs.Unauthenticated
		case http.StatusForbidden:
			kind = errs.Denied
		}
		return errs.Newf(kind, "%s: status %d, and no answer of an API server", c.doing, status.Code)
	}
	return errs.As(c.kindOf(status), &refusal{c.doing + ": the API server says " + c.said(status)})
}

func (c call) kindOf(status metav1.Status) errs.Kind { //nolint:cyclop // flat: a case after the other
	switch status.Reason {
	case metav1.StatusReasonNotFound:
		if c.name == "" || status.Details != nil && status.Details.Name == c.name {
			return errs.NotExist
		}
		return errs.Unavailable
	case metav1.StatusReasonUnauthorized:
		return errs.Unauthenticated
	case metav1.StatusReasonForbidden:
		return errs.Denied
	case metav1.StatusReasonAlreadyExists, metav1.StatusReasonConflict:
		return errs.Conflict
	case metav1.StatusReasonInvalid, metav1.StatusReasonBadRequest:
		return errs.Invalid
	case metav1.StatusReasonRequestEntityTooLarge:
		return errs.TooLarge
	case metav1.StatusReasonTooManyRequests:
		return errs.Exhausted
	case metav1.StatusReasonMethodNotAllowed:
		return errs.Unsupported
	}
	if status.Code == http.StatusTooManyRequests {
		return errs.Exhausted
	}
	return errs.Unavailable
}

// said is what a status says: its words, where it cannot quote a value, and else its
// reason and the fields that are wrong.
func (c call) said(status metav1.Status) string {
	if c.words && status.Message != "" {
		return line(status.Message)
	}
	text := string(status.Reason)
	if text == "" {
		text = http.StatusText(int(status.Code))
	}
	if status.Details == nil {
		return line(text)
	}
	var fields []string
	for _, cause := range status.Details.Causes {
		if cause.Field != "" {
			fields = append(fields, cause.Field+": "+string(cause.Type))
		}
	}
	if len(fields) > 0 {
		text += " (" + strings.Join(fields, "; ") + ")"
	}
	return line(text)
}

// line makes one line of a server's words, and not a long one.
func line(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	const limit = 400
	if text = strings.Join(strings.Fields(text), " "); len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}

// unanswered is a failure that is no answer: of a login, which has its own kind and
// text, of a connection, or of reading an answer, which is not quoted.
func (c call) unanswered(who string, err error) error {
	var login *unknown
	switch {
	case errors.As(err, &login):
		return errs.Newf(errs.KindOf(login.error), "%s: %w", c.doing, login.error)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return errs.Newf(errs.Unavailable, "%s: %s does not answer in time", c.doing, who)
	case errs.Is(err, errs.TooLarge):
		return errs.Newf(errs.TooLarge, "%s: the answer is too long", c.doing)
	}
	unreached := outbound.Unreached(who, err)
	return errs.Newf(errs.KindOf(unreached), "%s: %w", c.doing, unreached)
}
