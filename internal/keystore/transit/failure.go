package transit

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// classify gives an error of the client its kind. Its text is the path's and, of
// what the server says, one bounded line: servers do not quote what was sent to
// encrypt, and answers that are not a vault's are not shown.
func classify(err error, doing string) error {
	if err == nil {
		return nil
	}
	if kind := errs.KindOf(err); kind != errs.Internal && kind != errs.Unavailable {
		return errs.Newf(kind, "%s: %w", doing, err) // of a credential, which a connection needed
	}
	var answer *api.ResponseError
	if errors.As(err, &answer) {
		return errs.Newf(kindOf(answer.StatusCode), "%s: %s", doing, words(answer))
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return errs.Newf(errs.Unavailable, "%s: no answer in time", doing)
	}
	var dial *url.Error
	if errors.As(err, &dial) {
		err = dial.Err // the URL is in doing already
	}
	return errs.Newf(errs.Unavailable, "%s: %w", doing, err)
}

func kindOf(status int) errs.Kind {
	switch status {
	case http.StatusBadRequest:
		return errs.Invalid
	case http.StatusUnauthorized, http.StatusForbidden:
		return errs.Denied
	case http.StatusNotFound:
		return errs.NotExist
	case http.StatusMethodNotAllowed:
		return errs.Unsupported
	case http.StatusTooManyRequests:
		return errs.Exhausted
	}
	return errs.Unavailable
}

func words(answer *api.ResponseError) string {
	text := strings.Join(strings.Fields(strings.Join(answer.Errors, "; ")), " ")
	if answer.RawError || text == "" {
		return http.StatusText(answer.StatusCode)
	}
	if text == "Vault is sealed" {
		return text + ": unseal it (strongkeep operator unseal)"
	}
	const limit = 300
	if len(text) > limit {
		text = strings.ToValidUTF8(text[:limit], "") + "…"
	}
	return text
}
