package wire

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Code returns the code of what AWS answered, "" when it is no answer of AWS.
func Code(err error) string {
	var answer smithy.APIError
	if !errors.As(err, &answer) {
		return ""
	}
	return answer.ErrorCode()
}

// kindOf returns the kind of a code of AWS; ok is false for one not known here.
func kindOf(code string) (kind errs.Kind, ok bool) {
	switch code {
	case "ResourceNotFoundException", "ParameterNotFound", "ParameterVersionNotFound", "InvalidResourceId":
		return errs.NotExist, true
	case "AccessDeniedException", "AccessDenied", "DecryptionFailure", "EncryptionFailure", "OptInRequired", "KMSAccessDeniedException":
		return errs.Denied, true
	case "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignature",
		"IncompleteSignatureException", "ExpiredToken", "ExpiredTokenException", "MissingAuthenticationToken", "MissingAuthenticationTokenException",
		"AuthFailure", "InvalidIdentityToken", "IDPRejectedClaim":
		return errs.Unauthenticated, true
	case "ResourceExistsException", "ParameterAlreadyExists":
		return errs.Conflict, true
	case "LimitExceededException", "ParameterLimitExceeded", "ParameterMaxVersionLimitExceeded", "RequestLimitExceeded",
		"TooManyRequestsException", "TooManyUpdates", "SlowDown", "PriorRequestNotComplete", "BandwidthLimitExceeded":
		return errs.Exhausted, true
	case "IDPCommunicationError", "InternalServiceError", "InternalServerError", "InternalFailure", "ServiceUnavailable", "ServiceUnavailableException":
		return errs.Unavailable, true
	}
	return errs.Unavailable, strings.Contains(code, "Timeout")
}

// Throttled reports whether code says that there were too many calls.
func Throttled(code string) bool {
	return strings.Contains(code, "Throttl") || strings.Contains(code, "RateExceeded")
}

// Stale reports whether err may be mended by new credentials.
func Stale(err error) bool {
	kind, _ := kindOf(Code(err))
	return kind == errs.Unauthenticated
}

// Fail gives an error of a client its kind, and a text of AWS's code and, where
// they cannot hold anything of the request's body or headers, its words. What is
// not an answer of AWS is Unavailable: an outage never looks like a deletion.
func Fail(doing string, err error) error {
	if err == nil {
		return nil
	}
	code := Code(err)
	if code == "" {
		return unanswered(doing, err)
	}
	kind := classify(code, err)
	text := doing + ": AWS says " + plain(code, 128)
	if words := words(code, err); words != "" {
		text += ": " + words
	}
	return errs.As(kind, &refusal{text, err})
}

// refusal is an answer of AWS under a text that can be shown: Code and Words find
// the answer, and nothing else of it is told.
type refusal struct {
	text   string
	answer error
}

func (r *refusal) Error() string { return r.text }

func (r *refusal) Unwrap() error { return r.answer }

// classify returns the kind of an answer with a code.
func classify(code string, err error) errs.Kind {
	status := 0
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) {
		status = answer.HTTPStatusCode()
	}
	kind, known := kindOf(code)
	switch broken := status >= http.StatusInternalServerError; {
	case Throttled(code):
		return errs.Exhausted
	case known && broken && kind == errs.NotExist: // no service says so
		return errs.Unavailable
	case known, broken:
		return kind
	case status >= http.StatusBadRequest && plausible(code):
		return errs.Invalid
	}
	return errs.Unavailable
}

// plausible reports whether code looks like one of AWS: the SDK makes one up of
// an answer that it could not read.
func plausible(code string) bool {
	for _, r := range code {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && r != '.' {
			return false
		}
	}
	return code != "" && code != "UnknownError"
}

func unanswered(doing string, err error) error {
	var long *http.MaxBytesError
	var dial *url.Error
	switch {
	case errors.As(err, &long):
		return errs.Newf(errs.TooLarge, "%s: the answer is over %d MiB", doing, maxBody>>20)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return errs.Newf(errs.Unavailable, "%s: no answer in time", doing)
	case errors.As(err, &dial):
		return errs.Newf(errs.Unavailable, "%s: %s", doing, plain(dial.Err.Error(), 256))
	}
	return errs.Newf(errs.Unavailable, "%s: AWS gives no answer that can be read", doing)
}

// words returns what AWS says, where that is about who asked and what for. Other
// texts may quote what was sent: a refused signature its headers with the session
// token, a refused value the value.
func words(code string, err error) string {
	var answer smithy.APIError
	if !errors.As(err, &answer) {
		return ""
	}
	switch code {
	case "AccessDeniedException", "AccessDenied", "DecryptionFailure", "InvalidRequestException":
		return plain(strings.Join(strings.Fields(answer.ErrorMessage()), " "), 400)
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
	}, s)
	if len(s) > limit {
		s = s[:limit] + "..."
	}
	return s
}

// Words returns what AWS says, for telling apart what has no code of its own. It
// may hold anything and is never shown.
func Words(err error) string {
	var answer smithy.APIError
	if !errors.As(err, &answer) {
		return ""
	}
	return answer.ErrorMessage()
}

// NoAnswer is the failure of an answer that lacks what it must have.
func NoAnswer(doing string) error {
	return errs.Newf(errs.Unavailable, "%s: the answer is not one of AWS", doing)
}
