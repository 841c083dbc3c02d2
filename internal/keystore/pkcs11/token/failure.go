//go:build linux && cgo

package token

import (
	"errors"

	"github.com/miekg/pkcs11"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/wire"
)

// advice is what a return value of a module means here. lost: the token or what we had
// of it is gone, and only a new start may bring it back.
var advice = map[pkcs11.Error]struct {
	kind errs.Kind
	text string
	lost bool
}{
	pkcs11.CKR_PIN_LOCKED:                     {kind: errs.Denied, text: "the token has locked the PIN: have its security officer set a new one"},
	pkcs11.CKR_PIN_EXPIRED:                    {kind: errs.Denied, text: "the PIN has expired: change it"},
	pkcs11.CKR_USER_PIN_NOT_INITIALIZED:       {kind: errs.Denied, text: "the token has no user PIN: have its security officer set one"},
	pkcs11.CKR_DEVICE_REMOVED:                 {kind: errs.Unavailable, text: "the token was removed", lost: true},
	pkcs11.CKR_TOKEN_NOT_PRESENT:              {kind: errs.Unavailable, text: "the token was removed", lost: true},
	pkcs11.CKR_TOKEN_NOT_RECOGNIZED:           {kind: errs.Unavailable, text: "the slot has another token", lost: true}, //nolint:misspell // PKCS#11's name of it
	pkcs11.CKR_SLOT_ID_INVALID:                {kind: errs.Unavailable, text: "the slot is gone", lost: true},
	pkcs11.CKR_SESSION_HANDLE_INVALID:         {kind: errs.Unavailable, text: "the session was lost", lost: true},
	pkcs11.CKR_SESSION_CLOSED:                 {kind: errs.Unavailable, text: "the session was lost", lost: true},
	pkcs11.CKR_USER_NOT_LOGGED_IN:             {kind: errs.Unavailable, text: "the login was lost", lost: true},
	pkcs11.CKR_CRYPTOKI_NOT_INITIALIZED:       {kind: errs.Unavailable, text: "the module has lost its state", lost: true},
	pkcs11.CKR_DEVICE_ERROR:                   {kind: errs.Unavailable, text: "the device is in trouble", lost: true},
	pkcs11.CKR_DEVICE_MEMORY:                  {kind: errs.Unavailable, text: "the device is out of memory", lost: true},
	pkcs11.CKR_HOST_MEMORY:                    {kind: errs.Unavailable, text: "the module is out of memory", lost: true},
	pkcs11.CKR_GENERAL_ERROR:                  {kind: errs.Unavailable, text: "the module is in trouble", lost: true},
	pkcs11.CKR_FUNCTION_FAILED:                {kind: errs.Unavailable, text: "the module is in trouble", lost: true},
	pkcs11.CKR_OBJECT_HANDLE_INVALID:          {kind: errs.Unavailable, text: "the key has just gone", lost: true},
	pkcs11.CKR_KEY_HANDLE_INVALID:             {kind: errs.Unavailable, text: "the key has just gone", lost: true},
	pkcs11.CKR_OPERATION_ACTIVE:               {kind: errs.Unavailable, text: "the session is not at its end", lost: true},
	pkcs11.CKR_SESSION_COUNT:                  {kind: errs.Unavailable, text: "the token has no session left"},
	pkcs11.CKR_ENCRYPTED_DATA_INVALID:         {kind: errs.Invalid, text: unopened},
	pkcs11.CKR_ENCRYPTED_DATA_LEN_RANGE:       {kind: errs.Invalid, text: unopened},
	ckrAEADDecryptFailed:                      {kind: errs.Invalid, text: unopened},
	pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED:     {kind: errs.Unsupported, text: "the key may not be used for it"},
	pkcs11.CKR_KEY_TYPE_INCONSISTENT:          {kind: errs.Unsupported, text: "the key is of another type"},
	pkcs11.CKR_KEY_SIZE_RANGE:                 {kind: errs.Unsupported, text: "the key is of another size"},
	pkcs11.CKR_MECHANISM_INVALID:              {kind: errs.Unsupported, text: "the token does not do it with this key"},
	pkcs11.CKR_MECHANISM_PARAM_INVALID:        {kind: errs.Unsupported, text: "the token does not take our parameters"},
	pkcs11.CKR_FUNCTION_NOT_SUPPORTED:         {kind: errs.Unsupported, text: "the module cannot do it"},
	pkcs11.CKR_ATTRIBUTE_TYPE_INVALID:         {kind: errs.Unsupported, text: "the token does not tell an attribute of the key"},
	pkcs11.CKR_ATTRIBUTE_SENSITIVE:            {kind: errs.Unsupported, text: "the token does not tell an attribute of the key"},
	pkcs11.CKR_ARGUMENTS_BAD:                  {kind: errs.Unsupported, text: "the module does not take our arguments"},
	pkcs11.CKR_CANT_LOCK:                      {kind: errs.Unsupported, text: "the module cannot be used by several threads"},
	pkcs11.CKR_USER_ANOTHER_ALREADY_LOGGED_IN: {kind: errs.Conflict, text: "somebody else is logged in to the token"},
}

// ckrAEADDecryptFailed is CKR_AEAD_DECRYPT_FAILED of PKCS#11 3.0, which the binding does not name.
const ckrAEADDecryptFailed = pkcs11.Error(0x42)

const unopened = "it does not open: it was changed, or is bound to something else"

// classify gives a return value of a module its kind and a text. The PIN is not in one.
func classify(doing string, err error) error {
	var code pkcs11.Error
	if !errors.As(err, &code) {
		return errs.Newf(errs.KindOf(err), "%s: %w", doing, err)
	}
	if code == pkcs11.CKR_PIN_INCORRECT || code == pkcs11.CKR_PIN_INVALID || code == pkcs11.CKR_PIN_LEN_RANGE {
		return wire.Refused(errs.Newf(errs.Denied, "%s: the token refuses the PIN: it is not tried again, since a token locks itself after a few", doing))
	}
	known, ok := advice[code]
	if !ok {
		return errs.Newf(errs.Unavailable, "%s: the module says 0x%X", doing, uint(code))
	}
	err = errs.Newf(known.kind, "%s: %s (0x%X)", doing, known.text, uint(code))
	if known.lost {
		return wire.Lost(err)
	}
	return err
}

// is reports whether a module returned one of these.
func is(err error, codes ...pkcs11.Error) bool {
	for _, code := range codes {
		if errors.Is(err, code) {
			return true
		}
	}
	return false
}
