package keyvault

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

// refusal is an answer of Key Vault under a text that can be shown.
type refusal struct{ text, code, inner string }

func (r *refusal) Error() string { return r.text }

// is reports whether Key Vault's answer has a code, outside or within.
func is(err error, code string) bool {
	var r *refusal
	return errors.As(err, &r) && (r.code == code || r.inner == code)
}

// codes are such as SecretNotFound.
var codes = regexp.MustCompile(`^[A-Za-z]{1,64}$`)

// fail gives an error of a call its kind, and a text of Key Vault's codes: its words may
// quote what was sent. What is no answer of Key Vault is Unavailable: an outage never
// looks like a deletion.
func fail(doing string, err error) error {
	var answer *azcore.ResponseError
	if !errors.As(err, &answer) {
		return unanswered(doing, err)
	}
	r := &refusal{}
	r.code, r.inner = codesOf(answer.RawResponse)
	if r.code == "" {
		kind := errs.Unavailable
		if answer.StatusCode == http.StatusTooManyRequests {
			kind = errs.Exhausted
		}
		return errs.Newf(kind, "%s: status %d, and no answer of Key Vault", doing, answer.StatusCode)
	}
	r.text = doing + ": Key Vault says " + r.code
	if r.inner != "" {
		r.text += " (" + r.inner + ")"
	}
	return errs.As(kindOf(answer.StatusCode, r), r)
}

func kindOf(status int, r *refusal) errs.Kind {
	switch {
	case status == http.StatusNotFound && strings.HasSuffix(r.code, "NotFound") && r.code != "VaultNotFound":
		return errs.NotExist
	case status == http.StatusForbidden && strings.HasSuffix(r.inner, "Disabled"):
		return errs.Invalid
	case status == http.StatusForbidden:
		return errs.Denied
	case status == http.StatusUnauthorized:
		return errs.Unauthenticated
	case status == http.StatusTooManyRequests:
		return errs.Exhausted
	case status == http.StatusConflict:
		return errs.Conflict
	case status == http.StatusBadRequest:
		return errs.Invalid
	case status == http.StatusRequestEntityTooLarge:
		return errs.TooLarge
	}
	return errs.Unavailable
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
	case kind != errs.Internal: // ours, from the login or the Transport
		return errs.Newf(kind, "%s: %w", doing, err)
	case errors.As(err, &dial):
		return errs.Newf(errs.Unavailable, "%s: %s", doing, plain(dial.Err.Error()))
	}
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

// explain says in the message what to do.
func explain(err error, key, version string) error {
	switch {
	case errs.Is(err, errs.NotExist) && version != "":
		return errs.Newf(errs.NotExist, "%q has no version %q, or does not exist, in this vault", key, version)
	case errs.Is(err, errs.NotExist):
		return errs.Newf(errs.NotExist, "%q does not exist in this vault", key)
	case errs.Is(err, errs.Invalid):
		var r *refusal
		if errors.As(err, &r) && strings.HasSuffix(r.inner, "Disabled") {
			return errs.Newf(errs.Invalid, "%w: enable it, or add a version", err)
		}
	}
	return err
}
