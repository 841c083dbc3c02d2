package failure

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// MaxBody bounds an answer. A Kubernetes Secret holds 1 MiB, and a server's own
// request limit is 32 MiB.
const MaxBody = 32 << 20

// Classify gives an error of the client its kind and a text with the server's
// own words, which Vault makes for clients to see. Nothing of the request but
// its path is in it.
func Classify(err error, doing string) error {
	if err == nil {
		return nil
	}
	var answer *api.ResponseError
	if errors.As(err, &answer) {
		kind := KindOf(answer.StatusCode)
		if kind == errs.NotExist && (len(answer.Errors) > 0 || answer.RawError) {
			// A secret that is not there is a 404 without a word; with words, the
			// mount or the server is wrong, and that must not look like a deletion.
			kind = errs.Invalid
		}
		return errs.Newf(kind, "%s: %s", doing, words(answer))
	}
	var long *http.MaxBytesError
	if errors.As(err, &long) {
		return errs.Newf(errs.TooLarge, "%s: the answer is over %d MiB", doing, MaxBody>>20)
	}
	var dial *url.Error
	if errors.As(err, &dial) {
		err = dial.Err // the URL is in doing already
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return errs.Newf(errs.Unavailable, "%s: no answer in time", doing)
	}
	return errs.Newf(errs.Unavailable, "%s: %s", doing, err)
}

// KindOf returns the kind of a status.
func KindOf(status int) errs.Kind {
	switch status {
	case http.StatusBadRequest:
		return errs.Invalid
	case http.StatusUnauthorized, http.StatusForbidden:
		return errs.Denied
	case http.StatusNotFound:
		return errs.NotExist
	case http.StatusMethodNotAllowed:
		return errs.Unsupported
	case http.StatusConflict: // of routes that are Strongkeep's own
		return errs.Conflict
	case http.StatusRequestEntityTooLarge:
		return errs.TooLarge
	case http.StatusTooManyRequests:
		return errs.Exhausted
	}
	return errs.Unavailable
}

// words returns what the server said on one line, bounded. An answer that is
// not Vault's JSON may be anything, so it is not shown.
func words(answer *api.ResponseError) string {
	status := http.StatusText(answer.StatusCode)
	if answer.RawError {
		return status + " (the answer is not Vault's JSON: check spec.provider.vault.server)"
	}
	text := strings.Join(strings.Fields(strings.Join(answer.Errors, "; ")), " ")
	text = strings.TrimPrefix(text, "1 error occurred: * ")
	switch text {
	case "":
		return status
	case "Vault is sealed":
		return text + ": unseal it (strongkeep operator unseal)"
	}
	if short := withoutSTS(text); short != text {
		return short + " (what AWS's STS says is withheld, since it may hold what was sent; the vault's log has it)"
	}
	const limit = 400
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}

// withoutSTS cuts off what a vault passes on of AWS's STS, which quotes the headers of a
// signature it refuses: a session's token is one of them.
func withoutSTS(text string) string {
	lower := strings.Map(func(r rune) rune { // bytes stay where they are
		if r >= 'A' && r <= 'Z' {
			return r - 'A' + 'a'
		}
		return r
	}, text)
	for _, begins := range []string{" from sts", "<errorresponse", "x-amz-", "aws4-hmac-sha256"} {
		if i := strings.Index(lower, begins); i >= 0 {
			text, lower = text[:i], lower[:i]
		}
	}
	return text
}
