//go:build linux && cgo

package token

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/pkcs11"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/wire"
)

const (
	keySize = 32
	ivSize  = 12
	tagSize = 16
	// maxObjects of a token are looked at, and maxVersions told.
	maxObjects  = 10_000
	maxVersions = 256
)

// sealed is what encrypting gives.
type sealed struct{ iv, ciphertext []byte }

// list returns the versions by age.
func (k *key) list() (all []wire.Version, err error) {
	err = k.with(func(sh pkcs11.SessionHandle) error {
		found, err := k.objects(sh)
		for _, o := range found {
			all = append(all, o.Version)
		}
		return err
	})
	return all, err
}

// objects finds all versions. What is of another type or size is one only where nothing else
// has its label. Kinds: NotExist and lost, since a token that was taken away looks like one
// without keys to some modules; Conflict; those of look and classify.
func (k *key) objects(sh pkcs11.SessionHandle) ([]object, error) {
	handles, err := k.search(sh, k.template())
	if err != nil {
		return nil, err
	}
	var all []object
	for _, h := range handles {
		number, ok, err := k.number(sh, h)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		o, err := k.look(sh, h, number)
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	if all, err = k.distinct(all); err != nil {
		return nil, err
	}
	switch {
	case len(all) == 0:
		return nil, wire.Lost(errs.Newf(errs.NotExist, "the token has no private AES key %s: make one, private, sensitive and not extractable; public ones are not looked at, since they can be made without the PIN", k.called(1)))
	case len(all) > maxVersions:
		return nil, errs.Newf(errs.TooLarge, "key %s has %d versions, more than %d: delete old ones that nothing needs", k.name, len(all), maxVersions)
	}
	return all, nil
}

// distinct sorts versions, of which there is one of each number. Kind Conflict.
func (k *key) distinct(all []object) ([]object, error) {
	slices.SortFunc(all, func(a, b object) int { return cmp.Compare(a.Number, b.Number) })
	kept := all[:0]
	for _, o := range all {
		last := len(kept) - 1
		switch {
		case last < 0 || kept[last].Number != o.Number:
			kept = append(kept, o)
		case kept[last].unfit:
			kept[last] = o
		case !o.unfit:
			return nil, errs.Newf(errs.Conflict, "two keys of the token are %s: give one another label, or delete it", k.called(o.Number))
		}
	}
	return kept, nil
}

// template is that of all versions, and of other keys: no module searches by the head of a
// label. Public keys are none: whoever reaches the token makes them without a login.
func (k *key) template() []*pkcs11.Attribute {
	t := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY), pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
	}
	if k.name == "" {
		t = append(t, pkcs11.NewAttribute(pkcs11.CKA_ID, k.id))
	}
	return t
}

func (k *key) search(sh pkcs11.SessionHandle, template []*pkcs11.Attribute) ([]pkcs11.ObjectHandle, error) {
	const doing = "searching the token"
	if err := k.ctx.FindObjectsInit(sh, template); err != nil {
		return nil, classify(doing, err)
	}
	var all []pkcs11.ObjectHandle
	var err error
	for last := false; !last && err == nil; {
		var some []pkcs11.ObjectHandle
		some, _, err = k.ctx.FindObjects(sh, 100)
		all, last = append(all, some...), len(some) == 0 || len(all) > maxObjects
	}
	if err := errors.Join(err, k.ctx.FindObjectsFinal(sh)); err != nil {
		return nil, classify(doing, err)
	}
	if len(all) > maxObjects {
		return nil, errs.Newf(errs.TooLarge, "%s: it has more than %d secret keys", doing, maxObjects)
	}
	return all, nil
}

// called is how a version is named to people.
func (k *key) called(number uint32) string {
	if k.name == "" {
		return fmt.Sprintf("with CKA_ID %x", k.id)
	}
	return fmt.Sprintf("called %q", k.label(number))
}

func (k *key) label(number uint32) string {
	return k.name + "/" + strconv.FormatUint(uint64(number), 10)
}

// number reads which version a key is; false if it is none.
func (k *key) number(sh pkcs11.SessionHandle, h pkcs11.ObjectHandle) (uint32, bool, error) {
	if k.name == "" {
		return 0, true, nil
	}
	got, err := k.ctx.GetAttributeValue(sh, h, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_LABEL, nil)})
	if err != nil {
		return 0, false, classify("reading a label", err)
	}
	text, ok := strings.CutPrefix(string(got[0].Value), k.name+"/")
	n, err := strconv.ParseUint(text, 10, 32)
	if !ok || err != nil || n == 0 || k.label(uint32(n)) != string(got[0].Value) {
		return 0, false, nil
	}
	return uint32(n), true, nil
}

// version finds the key of an ID, whatever else has its label. Kinds: NotExist, also if
// another one has the label now; Unsupported, or another of look, if what has it might be the key.
func (k *key) version(sh pkcs11.SessionHandle, id wire.ID) (object, error) {
	template := k.template()
	if k.name != "" {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_LABEL, k.label(id.Number)))
	}
	handles, err := k.search(sh, template)
	if err != nil {
		return object{}, err
	}
	var unsure error
	for _, h := range handles {
		o, err := k.look(sh, h, id.Number)
		switch {
		case err != nil:
			unsure = cmp.Or(unsure, err)
		case o.ID != id:
		case o.unfit:
			unsure = cmp.Or(unsure, errs.Newf(errs.Unsupported, "key %s: %s", k.called(id.Number), o.Refused))
		default:
			return o, nil
		}
	}
	if unsure != nil {
		return object{}, unsure
	}
	if _, err := k.objects(sh); err != nil { // is there any?
		return object{}, err
	}
	return object{}, errs.Newf(errs.NotExist, "the token has no key %s with fingerprint %x (any more)", k.called(id.Number), id.Print)
}

// wrap encrypts by AES-256-GCM. The IV is random, unless the module makes its own and
// says it. What was encrypted is decrypted once before it is given away.
func (k *key) wrap(id wire.ID, aad, plain []byte) (iv, ciphertext []byte, err error) {
	err = k.with(func(sh pkcs11.SessionHandle) error {
		o, err := k.version(sh, id)
		if err != nil {
			return err
		}
		if o.Refused != "" {
			return errs.Newf(errs.Unsupported, "key %s encrypts nothing: %s", k.called(id.Number), o.Refused)
		}
		s, err := k.encrypt(sh, o.handle, aad, plain)
		if err != nil {
			return err
		}
		again, err := k.decrypt(sh, o, aad, s)
		defer clear(again)
		if errs.Is(err, errs.Invalid) || err == nil && subtle.ConstantTimeCompare(again, plain) != 1 {
			return errs.New(errs.Unsupported, "what the token encrypted does not open again: its AES-GCM is not as PKCS#11 has it")
		}
		if err != nil {
			return err
		}
		iv, ciphertext = s.iv, s.ciphertext
		return nil
	})
	return iv, ciphertext, err
}

func (k *key) encrypt(sh pkcs11.SessionHandle, h pkcs11.ObjectHandle, aad, plain []byte) (sealed, error) {
	const doing = "encrypting"
	if len(plain) == 0 || len(aad) == 0 {
		return sealed{}, errs.New(errs.Invalid, "there is nothing to encrypt")
	}
	iv := make([]byte, ivSize)
	_, _ = rand.Read(iv) // never fails
	params := pkcs11.NewGCMParams(iv, aad, tagSize*8)
	defer params.Free()
	if err := k.ctx.EncryptInit(sh, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, h); err != nil {
		return sealed{}, classify(doing, err)
	}
	ciphertext, err := k.ctx.Encrypt(sh, plain)
	if err != nil {
		return sealed{}, classify(doing, err)
	}
	s := sealed{iv: params.IV(), ciphertext: ciphertext}
	if len(s.ciphertext) != len(plain)+tagSize || len(s.iv) == 0 || len(s.iv) > 255 {
		return sealed{}, errs.Newf(errs.Unsupported, "%s: the token answers %d bytes to %d, not %d: it seems to append an IV of its own, which is not supported", doing, len(s.ciphertext), len(plain), len(plain)+tagSize)
	}
	return s, nil
}

// unwrap decrypts.
func (k *key) unwrap(id wire.ID, aad []byte, s sealed) (plain []byte, err error) {
	err = k.with(func(sh pkcs11.SessionHandle) error {
		o, err := k.version(sh, id)
		if err != nil {
			return err
		}
		plain, err = k.decrypt(sh, o, aad, s)
		return err
	})
	return plain, err
}

// decrypt opens what was encrypted. A wrong tag is CKR_GENERAL_ERROR to SoftHSM, as trouble
// is to others: so the key is tried then, and if it works the same is asked again. What fails
// in the same way then is a wrong blob, kind Invalid.
func (k *key) decrypt(sh pkcs11.SessionHandle, o object, aad []byte, s sealed) ([]byte, error) {
	const doing = "decrypting"
	if len(s.iv) == 0 || len(s.ciphertext) <= tagSize || len(aad) == 0 {
		return nil, errs.New(errs.Invalid, "it was cut short")
	}
	plain, err := k.decipher(sh, o.handle, aad, s)
	if is(err, doubtful...) && k.works(sh, o) {
		first := err
		if plain, err = k.decipher(sh, o.handle, aad, s); err != nil && errors.Is(err, first) {
			return nil, errs.New(errs.Invalid, doing+": "+unopened)
		}
	}
	if err != nil {
		return nil, classify(doing, err)
	}
	return plain, nil
}

// doubtful are return values that may say of a blob that it is wrong, or of a module that it is in trouble.
var doubtful = []pkcs11.Error{
	pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED, pkcs11.CKR_DEVICE_ERROR,
	pkcs11.CKR_DATA_INVALID, pkcs11.CKR_DATA_LEN_RANGE, pkcs11.CKR_SIGNATURE_INVALID,
}

// decipher asks the module once. Its error is the module's own.
func (k *key) decipher(sh pkcs11.SessionHandle, h pkcs11.ObjectHandle, aad []byte, s sealed) ([]byte, error) {
	params := pkcs11.NewGCMParams(s.iv, aad, tagSize*8)
	defer params.Free()
	if err := k.ctx.DecryptInit(sh, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, h); err != nil {
		return nil, err
	}
	return k.ctx.Decrypt(sh, s.ciphertext)
}

// works reports whether a key does now what it may do: that it encrypts and decrypts, or,
// where it may not encrypt, has the fingerprint that it had.
func (k *key) works(sh pkcs11.SessionHandle, o object) bool {
	probe := []byte("probe")
	if o.encrypts {
		s, err := k.encrypt(sh, o.handle, probe, probe)
		if err == nil {
			got, err := k.decipher(sh, o.handle, probe, s)
			return err == nil && bytes.Equal(got, probe)
		}
		if !errs.Is(err, errs.Unsupported) { // a policy of the token's, which its attributes do not tell
			return false
		}
	}
	print, err := k.fingerprint(sh, o.handle)
	return err == nil && print == o.Print
}
