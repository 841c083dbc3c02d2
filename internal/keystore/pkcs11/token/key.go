//go:build linux && cgo

package token

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
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

// object is a key of the token.
type object struct {
	wire.Version
	handle pkcs11.ObjectHandle
}

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

// objects finds all versions. Kinds: NotExist and lost, since a token that was taken away
// looks like one without keys to some modules; Conflict; those of classify.
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
	slices.SortFunc(all, func(a, b object) int { return cmp.Compare(a.Number, b.Number) })
	for i := range all[min(1, len(all)):] {
		if all[i].Number == all[i+1].Number {
			return nil, errs.Newf(errs.Conflict, "two keys of the token are %s: give one another label, or delete it", k.called(all[i].Number))
		}
	}
	switch {
	case len(all) == 0:
		return nil, wire.Lost(errs.Newf(errs.NotExist, "the token has no AES key %s: make one, sensitive and not extractable", k.called(1)))
	case len(all) > maxVersions:
		return nil, errs.Newf(errs.TooLarge, "key %s has %d versions, more than %d: delete old ones that nothing needs", k.name, len(all), maxVersions)
	}
	return all, nil
}

// template is that of all versions, and of other keys: no module searches by the head of a label.
func (k *key) template() []*pkcs11.Attribute {
	t := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY), pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
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

// look reads what a key may be used for, and its fingerprint.
func (k *key) look(sh pkcs11.SessionHandle, h pkcs11.ObjectHandle, number uint32) (object, error) {
	doing := "looking at key " + k.called(number)
	o := object{handle: h}
	o.Number = number
	got, err := k.ctx.GetAttributeValue(sh, h, []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, nil), pkcs11.NewAttribute(pkcs11.CKA_VALUE_LEN, nil), pkcs11.NewAttribute(pkcs11.CKA_ID, nil),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, nil), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, nil), pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, nil),
		pkcs11.NewAttribute(pkcs11.CKA_ENCRYPT, nil), pkcs11.NewAttribute(pkcs11.CKA_DECRYPT, nil),
	})
	if err != nil {
		return o, classify(doing, err)
	}
	if ulong(got[0]) != pkcs11.CKK_AES || ulong(got[1]) != keySize {
		return o, errs.Newf(errs.Unsupported, "%s: it is no AES key of 256 bits", doing)
	}
	switch {
	case !truth(got[7]):
		return o, errs.Newf(errs.Unsupported, "%s: it may not decrypt (CKA_DECRYPT)", doing)
	case !truth(got[3]):
		o.Refused = "it is not sensitive (CKA_SENSITIVE): its value can be read out of the token"
	case truth(got[4]):
		o.Refused = "it is extractable (CKA_EXTRACTABLE): its value can leave the token"
	case !truth(got[5]):
		o.Refused = "it is not private (CKA_PRIVATE): it can be used without the PIN"
	case !truth(got[6]):
		o.Refused = "it may not encrypt (CKA_ENCRYPT)"
	}
	o.Print, err = k.fingerprint(sh, h, got[2].Value)
	if err != nil {
		return o, errs.Newf(errs.KindOf(err), "%s: %w", doing, err)
	}
	return o, nil
}

// truth reads a CK_BBOOL; ulong a CK_ULONG, which is in the machine's order.
func truth(a *pkcs11.Attribute) bool { return len(a.Value) == 1 && a.Value[0] != 0 }

func ulong(a *pkcs11.Attribute) uint64 {
	if len(a.Value) != 8 {
		return 0
	}
	return binary.NativeEndian.Uint64(a.Value)
}

// marked is the block whose encryption tells one key from another. In AES-GCM with an IV
// of 12 bytes (NIST SP 800-38D) a key encrypts the block of zeros, and blocks that end in
// a counter from 1 on; the last four bytes of this one are a counter that messages of some kB
// do not reach. So what it is encrypted to says nothing of any message or tag.
var marked = []byte("strongkeepkeyid\xff")

// fingerprint follows from a key's value and its CKA_ID. Where the key may not be used
// so, the token's own check value (CKA_CHECK_VALUE, three bytes) stands for the value.
func (k *key) fingerprint(sh pkcs11.SessionHandle, h pkcs11.ObjectHandle, id []byte) (print [wire.PrintSize]byte, err error) {
	how := byte('e')
	var value []byte
	if err = k.ctx.EncryptInit(sh, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_ECB, nil)}, h); err == nil {
		value, err = k.ctx.Encrypt(sh, marked)
	}
	if is(err, pkcs11.CKR_MECHANISM_INVALID, pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED, pkcs11.CKR_KEY_TYPE_INCONSISTENT, pkcs11.CKR_FUNCTION_NOT_SUPPORTED) {
		how = 'c'
		var got []*pkcs11.Attribute
		if got, err = k.ctx.GetAttributeValue(sh, h, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CHECK_VALUE, nil)}); err == nil {
			value = got[0].Value
		}
		if err == nil && len(value) == 0 {
			return print, errs.New(errs.Unsupported, "it may not encrypt by AES-ECB, and the token tells no check value: it cannot be told from another key of its label")
		}
	}
	if err != nil {
		return print, classify("telling it from others", err)
	}
	digest := sha256.New()
	_, _ = digest.Write(binary.BigEndian.AppendUint64([]byte{how}, uint64(len(id)))) // never fails
	_, _ = digest.Write(id)
	_, _ = digest.Write(value)
	return [wire.PrintSize]byte(digest.Sum(nil)), nil
}

// version finds the key of an ID. Kind NotExist also if another one has its label now.
func (k *key) version(sh pkcs11.SessionHandle, id wire.ID) (object, error) {
	template := k.template()
	if k.name != "" {
		template = append(template, pkcs11.NewAttribute(pkcs11.CKA_LABEL, k.label(id.Number)))
	}
	handles, err := k.search(sh, template)
	if err != nil {
		return object{}, err
	}
	for _, h := range handles {
		o, err := k.look(sh, h, id.Number)
		if err != nil {
			return o, err
		}
		if o.ID == id {
			return o, nil
		}
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
		again, err := k.decrypt(sh, o.handle, aad, s)
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
		plain, err = k.decrypt(sh, o.handle, aad, s)
		return err
	})
	return plain, err
}

func (k *key) decrypt(sh pkcs11.SessionHandle, h pkcs11.ObjectHandle, aad []byte, s sealed) ([]byte, error) {
	const doing = "decrypting"
	if len(s.iv) == 0 || len(s.ciphertext) <= tagSize || len(aad) == 0 {
		return nil, errs.New(errs.Invalid, "it was cut short")
	}
	params := pkcs11.NewGCMParams(s.iv, aad, tagSize*8)
	defer params.Free()
	if err := k.ctx.DecryptInit(sh, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, h); err != nil {
		return nil, classify(doing, err)
	}
	plain, err := k.ctx.Decrypt(sh, s.ciphertext)
	if is(err, pkcs11.CKR_GENERAL_ERROR, pkcs11.CKR_FUNCTION_FAILED, pkcs11.CKR_DEVICE_ERROR, pkcs11.CKR_DATA_INVALID, pkcs11.CKR_DATA_LEN_RANGE, pkcs11.CKR_SIGNATURE_INVALID) && k.works(sh, h) {
		return nil, errs.New(errs.Invalid, doing+": "+unopened) // SoftHSM says CKR_GENERAL_ERROR of a wrong tag
	}
	if err != nil {
		return nil, classify(doing, err)
	}
	return plain, nil
}

// works reports whether a key encrypts and decrypts now.
func (k *key) works(sh pkcs11.SessionHandle, h pkcs11.ObjectHandle) bool {
	probe := []byte("probe")
	s, err := k.encrypt(sh, h, probe, probe)
	if err != nil {
		return false
	}
	params := pkcs11.NewGCMParams(s.iv, probe, tagSize*8)
	defer params.Free()
	if err := k.ctx.DecryptInit(sh, []*pkcs11.Mechanism{pkcs11.NewMechanism(pkcs11.CKM_AES_GCM, params)}, h); err != nil {
		return false
	}
	got, err := k.ctx.Decrypt(sh, s.ciphertext)
	return err == nil && bytes.Equal(got, probe)
}
