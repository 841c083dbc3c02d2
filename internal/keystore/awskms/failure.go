package awskms

import (
	"errors"
	"strings"

	"github.com/strongkeep/strongkeep/internal/cloud/aws/wire"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// advice is what an answer of KMS means here. What is throttled is Unavailable: the
// same call works later.
var advice = map[string]struct {
	kind errs.Kind
	text string
}{
	"DisabledException":          {errs.Denied, "the key is disabled: enable it (aws kms enable-key)"},
	"NotFoundException":          {errs.NotExist, "there is no such key or alias in this region: is it misspelt, or deleted?"},
	"InvalidCiphertextException": {errs.Invalid, "it does not open: it was changed, or is bound to something else"},
	"IncorrectKeyException":      {errs.Conflict, "it is under another key: has an alias been pointed at another one?"},
	"InvalidKeyUsageException":   {errs.Unsupported, "the key is not for encryption: use a symmetric one"},
	"KeyUnavailableException":    {errs.Unavailable, "the key cannot be reached"},
	"DependencyTimeoutException": {errs.Unavailable, "AWS KMS is in trouble"},
	"KMSInternalException":       {errs.Unavailable, "AWS KMS is in trouble"},
	"LimitExceededException":     {errs.Unavailable, "it throttles"},
	"InvalidArnException":        {errs.Invalid, "the key's ARN is not one of a key"},
}

// classify gives a failure of KMS a kind and a text.
func classify(doing string, err error) error {
	var no noLogin
	if errors.As(err, &no) {
		kind := errs.KindOf(no.error)
		if kind == errs.Internal { // of the SDK: the context ended
			kind = errs.Unavailable
		}
		return errs.Newf(kind, "%s: %s", doing, text(no.error, kind))
	}
	code := wire.Code(err)
	if known, ok := advice[code]; ok {
		return errs.Newf(known.kind, "%s: AWS KMS says %s: %s", doing, code, known.text)
	}
	switch {
	case code == "KMSInvalidStateException" && strings.Contains(wire.Words(err), "pending deletion"):
		return errs.Newf(errs.Denied, "%s: the key is to be deleted soon: cancel that (aws kms cancel-key-deletion) and enable it (aws kms enable-key)", doing)
	case code == "KMSInvalidStateException":
		return errs.Newf(errs.Unavailable, "%s: the key is not ready for use", doing)
	case wire.Throttled(code):
		return errs.Newf(errs.Unavailable, "%s: AWS KMS throttles (%s): ask for a higher quota, or less often", doing, code)
	}
	return wire.Fail(doing, err)
}

// text is why there was no login: ours is shown as it is, the SDK's may quote anything.
func text(err error, kind errs.Kind) string {
	if errs.KindOf(err) == kind {
		return err.Error()
	}
	return "there was no login in time"
}
