package bucket

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Answer is how a request to a store failed.
type Answer struct {
	Status int    // 0 = there was no answer
	Code   string // of the store, "" = it gave none
	Err    error  // what the client says of it. It may quote anything, and is shown only where it cannot
}

// unknown are codes of stores that do not know who asks.
var unknown = []string{
	"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired", "RequestExpired", "AuthenticationFailed", "InvalidAuthenticationInfo", "authError",
}

// missing are codes of stores that do not have the bucket.
var missing = []string{"NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted"}

// elsewhere are codes of stores that have the bucket in another region.
var elsewhere = []string{"AuthorizationHeaderMalformed", "PermanentRedirect", "TemporaryRedirect", "IllegalLocationConstraintException"}

// Fail gives a failure its kind and a text that can be shown. Of the store's words it has
// the code only: others may quote what was sent.
func Fail(doing string, a Answer) error {
	said := strings.TrimSuffix(fmt.Sprintf("the store answers with status %d, %s", a.Status, plain(a.Code)), ", ")
	switch {
	case a.Status == 0:
		return errs.Newf(errs.Unavailable, "%s: %s", doing, unanswered(a.Err))
	case slices.Contains(missing, a.Code):
		return errs.Newf(errs.Invalid, "%s: %s: there is no such bucket: make it, or correct its name", doing, said)
	case slices.Contains(elsewhere, a.Code), a.Status/100 == 3:
		return errs.Newf(errs.Invalid, "%s: %s: the bucket is in another region, or at another endpoint", doing, said)
	case a.Status == http.StatusUnauthorized, slices.Contains(unknown, a.Code):
		return errs.Newf(errs.Unauthenticated, "%s: %s: correct the credentials", doing, said)
	case a.Status == http.StatusForbidden:
		return errs.Newf(errs.Denied, "%s: %s: the credentials may not do this there", doing, said)
	case a.Status == http.StatusNotFound:
		return errs.Newf(errs.NotExist, "%s: it is not there", doing)
	case a.Status == http.StatusPreconditionFailed, a.Code == "BlobAlreadyExists":
		return errs.Newf(errs.Exist, "%s: something has that name already, and stays: use another one", doing)
	case a.Code == "ConditionalRequestConflict", a.Status == http.StatusTooManyRequests, a.Status >= 500:
		return errs.Newf(errs.Unavailable, "%s: %s", doing, said)
	}
	return errs.Newf(errs.Invalid, "%s: %s", doing, said)
}

// unanswered says why there is no answer, without the address, which may have a token in it.
func unanswered(err error) string {
	var dial *url.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "it was cancelled"
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.As(err, &dial):
		return "no answer: " + text(dial.Err.Error())
	}
	return "no answer that can be read"
}

// plain is a code, if it looks like one.
func plain(code string) string {
	for _, r := range code {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') {
			return ""
		}
	}
	return code[:min(len(code), 64)]
}

// text is fit for one line.
func text(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), 256)]
}
