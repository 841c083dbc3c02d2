//go:build linux && cgo

package token

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/miekg/pkcs11"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/wire"
)

// object is a key of the token.
type object struct {
	wire.Version
	handle   pkcs11.ObjectHandle
	encrypts bool // CKA_ENCRYPT
	// unfit: it is of another type or size, has no fingerprint and never encrypted anything of ours.
	unfit bool
}

// look reads what a key may be used for, and its fingerprint. Kind Unsupported for one that
// may not be asked for it: nobody can say then what was encrypted under it.
func (k *key) look(sh pkcs11.SessionHandle, h pkcs11.ObjectHandle, number uint32) (object, error) {
	doing := "looking at key " + k.called(number)
	o := object{handle: h}
	o.Number = number
	fit, err := k.fits(sh, h)
	if err != nil {
		return o, classify(doing, err)
	}
	if !fit {
		o.unfit, o.Refused = true, "it is no AES key of 256 bits"
		return o, nil
	}
	got, err := k.ctx.GetAttributeValue(sh, h, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, nil), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, nil),
		pkcs11.NewAttribute(pkcs11.CKA_ENCRYPT, nil), pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, nil),
	})
	if err != nil {
		return o, classify(doing, err)
	}
	o.encrypts = truth(got[2])
	switch {
	case !truth(got[3]):
		return o, errs.Newf(errs.Unsupported, "%s: it may not decrypt (CKA_DECRYPT)", doing)
	case !truth(got[0]):
		o.Refused = "it is not sensitive (CKA_SENSITIVE): its value can be read out of the token"
	case truth(got[1]):
		o.Refused = "it is extractable (CKA_EXTRACTABLE): its value can leave the token"
	case !o.encrypts:
		o.Refused = "it may not encrypt (CKA_ENCRYPT)"
	}
	o.Print, err = k.fingerprint(sh, h)
	if err != nil {
		return o, errs.Newf(errs.KindOf(err), "%s: %w", doing, err)
	}
	return o, nil
}

// fits reports whether a key is AES-256. Keys of some types have no size to ask for.
func (k *key) fits(sh pkcs11.SessionHandle, h pkcs11.ObjectHandle) (bool, error) {
	for _, want := range []struct{ attribute, is uint }{{pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES}, {pkcs11.CKA_VALUE_LEN, keySize}} {
		got, err := k.ctx.GetAttributeValue(sh, h, []*pkcs11.Attribute{pkcs11.NewAttribute(want.attribute, nil)})
		if err != nil || ulong(got[0]) != uint64(want.is) {
			return false, err
		}
	}
	return true, nil
}

// truth reads a CK_BBOOL; ulong a CK_ULONG, which is in the machine's order.
func truth(a *pkcs11.Attribute) bool { return len(a.Value) == 1 && a.Value[0] != 0 }

func ulong(a *pkcs11.Attribute) uint64 {
	if len(a.Value) != 8 {
		return 0
	}
	return binary.NativeEndian.Uint64(a.Value)
}

// marked is the block whose decryption tells one key from another. What it is decrypted to is
// as good as random, and AES-GCM (NIST SP 800-38D) encrypts such a block by chance only: the
// block of zeros, and IV and counter of messages. So it says nothing of any message or tag.
var marked = []byte("strongkeepkeyid\xff")

// fingerprint follows from a key's value alone, and is made in a way that a key keeps for as
// long as it decrypts. Where the settings say so it is made of the token's own check value (three bytes).
func (k *key) fingerprint(sh pkcs11.SessionHandle, h pkcs11.ObjectHandle) (print [wire.PrintSize]byte, err error) {
	how, tell := byte('d'), k.block
	if k.checkValue {
		how, tell = 'c', k.check
	}
	value, err := tell(sh, h)
	if err != nil {
		return print, err
	}
	sum := sha256.Sum256(append([]byte{how}, value...))
	return [wire.PrintSize]byte(sum[:]), nil
}

// block is what the marked one is decrypted to.
func (k *key) block(sh pkcs11.SessionHandle, h pkcs11.ObjectHandle) (value []byte, err error) {
	if err = k.ctx.DecryptInit(sh, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_ECB, nil)}, h); err == nil {
		value, err = k.ctx.Decrypt(sh, marked)
	}
	switch {
	case is(err, pkcs11.CKR_MECHANISM_INVALID, pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED, pkcs11.CKR_KEY_TYPE_INCONSISTENT, pkcs11.CKR_FUNCTION_NOT_SUPPORTED):
		return nil, errs.New(errs.Unsupported, "the token does not decrypt by AES-ECB (CKM_AES_ECB) with it, so that it cannot be told from another key of its label: allow that, or, if nothing was encrypted yet, set fingerprint: check-value")
	case err != nil:
		return nil, classify("telling it from others", err)
	case len(value) != len(marked):
		return nil, errs.Newf(errs.Unsupported, "the token decrypts a block by AES-ECB to %d bytes", len(value))
	}
	return value, nil
}

// check is CKA_CHECK_VALUE.
func (k *key) check(sh pkcs11.SessionHandle, h pkcs11.ObjectHandle) ([]byte, error) {
	got, err := k.ctx.GetAttributeValue(sh, h, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CHECK_VALUE, nil)})
	if err != nil {
		return nil, classify("reading its check value (CKA_CHECK_VALUE)", err)
	}
	if len(got[0].Value) == 0 {
		return nil, errs.New(errs.Unsupported, "the token tells no check value (CKA_CHECK_VALUE): it cannot be told from another key of its label")
	}
	return got[0].Value, nil
}
