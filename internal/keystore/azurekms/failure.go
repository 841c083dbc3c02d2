package azurekms

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// codes are such as KeyNotFound.
var codes = regexp.MustCompile(`^[A-Za-z]{1,64}$`)

// classify gives a failure of Key Vault a kind and a text of its codes: its words may
// quote what was sent. What is throttled is Unavailable: the same call works later.
func classify(doing string, err error) error {
	var answer *azcore.ResponseError
	if !errors.As(err, &answer) {
		return unanswered(doing, err)
	}
	code, inner := codesOf(answer.RawResponse)
	if code == "" {
		return errs.Newf(errs.Unavailable, "%s: status %d, and no answer of Key Vault", doing, answer.StatusCode)
	}
	says := code
	if inner != "" {
		says += " (" + inner + ")"
	}
	kind, advice := meaning(answer.StatusCode, code, inner)
	return errs.Newf(kind, "%s: Key Vault says %s: %s", doing, says, advice)
}

// meaning is what an answer means here, and what to do.
func meaning(status int, code, inner string) (kind errs.Kind, advice string) {
	switch {
	case status == http.StatusNotFound && code == "KeyNotFound":
		return errs.NotExist, "is the key misspelt, or deleted? A deleted one comes back by: az keyvault key recover"
	case status == http.StatusForbidden:
		return errs.Denied, forbidden(inner)
	case status == http.StatusUnauthorized:
		return errs.Unauthenticated, "the token is not taken"
	case status == http.StatusTooManyRequests:
		return errs.Unavailable, "it throttles"
	case status == http.StatusBadRequest:
		return errs.Invalid, "the key cannot do that, or what it is asked to unwrap was changed"
	case status == http.StatusConflict:
		return errs.Unavailable, "the key is being changed"
	}
	return errs.Unavailable, "it is in trouble"
}

// forbidden is what to do about a refusal.
func forbidden(inner string) string {
	switch inner {
	case "KeyDisabled":
		return "the version is disabled: enable it (az keyvault key set-attributes --enabled true)"
	case "KeyExpired", "KeyNotYetValid":
		return "the version wraps only between its dates: make a new one (az keyvault key rotate)"
	}
	return "who signs in needs the role Key Vault Crypto Service Encryption User, and the vault's firewall to be open for the machine"
}

// codesOf returns the code of an answer and the one within; "" is no answer of Key Vault.
func codesOf(r *http.Response) (code, inner string) {
	type level struct {
		Code string `json:"code"`
	}
	var body struct {
		Error struct {
			level
			Inner level `json:"innererror"`
		} `json:"error"`
	}
	raw, err := runtime.Payload(r)
	if err != nil || json.Unmarshal(raw, &body) != nil || !codes.MatchString(body.Error.Code) {
		return "", ""
	}
	if codes.MatchString(body.Error.Inner.Code) {
		inner = body.Error.Inner.Code
	}
	return body.Error.Code, inner
}

// unanswered is a failure that is no refusal: of a login, which has its own kind and
// text, of a connection, or of reading an answer, which is not quoted.
func unanswered(doing string, err error) error {
	var dial *url.Error
	switch kind := errs.KindOf(err); {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return errs.Newf(errs.Unavailable, "%s: no answer in time", doing)
	case kind != errs.Internal: // ours, from the login or the transport
		return errs.Newf(kind, "%s: %w", doing, err)
	case errors.As(err, &dial):
		return errs.Newf(errs.Unavailable, "%s: %s", doing, plain(dial.Err.Error()))
	}
	return noAnswer(doing)
}

func noAnswer(doing string) error {
	return errs.Newf(errs.Unavailable, "%s: Key Vault gives no answer that can be read", doing)
}

// plain makes a text fit for a message.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), 256)]
}
