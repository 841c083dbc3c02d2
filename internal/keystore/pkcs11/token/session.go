//go:build linux && cgo

package token

import (
	"slices"
	"strings"

	"github.com/miekg/pkcs11"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/wire"
)

// key is the key of a token, logged in. Its methods may be called concurrently.
type key struct {
	ctx  *pkcs11.Ctx
	slot uint
	name string // "": by id
	id   []byte
	// checkValue: fingerprints are made of check values.
	checkValue bool
	idle       chan pkcs11.SessionHandle // sessions that nobody uses
	most       chan struct{}             // one for each session there is
}

// open loads the module, finds the token and logs in. The module stays loaded: one that
// did not open ends with the process.
func open(o wire.Opening) (*key, error) {
	ctx := pkcs11.New(o.Module)
	if ctx == nil {
		return nil, errs.Newf(errs.Unsupported, "loading %s: it is no PKCS#11 module for this machine, or something that it needs is missing: look with ldd %s", o.Module, o.Module)
	}
	if err := ctx.Initialize(); err != nil {
		return nil, classify("initialising the module", err)
	}
	k := &key{ctx: ctx, name: o.Name, id: slices.Clone(o.KeyID), checkValue: o.CheckValue, idle: make(chan pkcs11.SessionHandle, wire.MaxCalls), most: make(chan struct{}, wire.MaxCalls)}
	about, err := k.find(o.Label, o.Serial)
	if err != nil {
		return nil, err
	}
	if err := k.able(); err != nil {
		return nil, err
	}
	if err := allowed(about); err != nil {
		return nil, err
	}
	sh, err := k.session()
	if err != nil {
		return nil, classify(opening, err)
	}
	// All sessions of the process are logged in by this.
	if err := ctx.Login(sh, pkcs11.CKU_USER, string(o.PIN)); err != nil && !is(err, pkcs11.CKR_USER_ALREADY_LOGGED_IN) {
		return nil, classify("logging in to the token", err)
	}
	k.idle <- sh
	return k, nil
}

// find sets the slot whose token it is.
func (k *key) find(label, serial string) (about pkcs11.TokenInfo, err error) {
	slots, err := k.ctx.GetSlotList(true)
	if err != nil {
		return about, classify("asking for slots", err)
	}
	var found int
	var others []string
	for _, slot := range slots {
		is, err := k.ctx.GetTokenInfo(slot)
		if err != nil {
			continue // a slot of others
		}
		if label != "" && is.Label != label || serial != "" && is.SerialNumber != serial {
			others = append(others, is.Label+" ("+is.SerialNumber+")")
			continue
		}
		k.slot, about = slot, is
		found++
	}
	wanted := strings.TrimSpace(label + " " + serial)
	switch {
	case found == 0:
		return about, errs.Newf(errs.Unavailable, "no slot has token %q: there are %d others: %.300q", wanted, len(others), others)
	case found > 1:
		return about, errs.Newf(errs.Conflict, "%d tokens are called %q: give the serial number of one", found, wanted)
	}
	return about, nil
}

// able refuses tokens without AES-GCM.
func (k *key) able() error {
	all, err := k.ctx.GetMechanismList(k.slot)
	if err != nil {
		return classify("asking for mechanisms", err)
	}
	if !slices.ContainsFunc(all, func(m *pkcs11.Mechanism) bool { return m.Mechanism == pkcs11.CKM_AES_GCM }) {
		return errs.New(errs.Unsupported, "the token has no AES-GCM (CKM_AES_GCM)")
	}
	return nil
}

// allowed refuses to spend the last try of a PIN: whoever used up the others may have
// been this program with the PIN of now.
func allowed(about pkcs11.TokenInfo) error {
	switch {
	case about.Flags&pkcs11.CKF_USER_PIN_LOCKED != 0:
		return classify("logging in to the token", pkcs11.Error(pkcs11.CKR_PIN_LOCKED))
	case about.Flags&pkcs11.CKF_USER_PIN_FINAL_TRY != 0:
		return errs.New(errs.Denied, "logging in to the token: one more wrong PIN locks it, so that it is not tried: log in once by hand with the right one, such as by pkcs11-tool --login --list-objects")
	case about.Flags&pkcs11.CKF_TOKEN_INITIALIZED == 0:
		return errs.New(errs.Unsupported, "the token is not initialised")
	}
	return nil
}

const opening = "opening a session"

// session opens one, and counts it.
func (k *key) session() (pkcs11.SessionHandle, error) {
	sh, err := k.ctx.OpenSession(k.slot, pkcs11.CKF_SERIAL_SESSION)
	if err != nil {
		return 0, err
	}
	k.most <- struct{}{} // has room: there are not more calls
	return sh, nil
}

// with runs work in a session of its own. It stays open also if something failed, which
// ends the operation (PKCS#11 v2.40 base, 5.8): with the last session a login ends.
func (k *key) with(work func(pkcs11.SessionHandle) error) error {
	sh, err := k.take()
	if err != nil {
		return err
	}
	defer func() { k.idle <- sh }()
	return work(sh)
}

// take returns a session that is idle, or a new one. A token that has no more sessions
// lets a call wait for one of ours.
func (k *key) take() (pkcs11.SessionHandle, error) {
	select {
	case sh := <-k.idle:
		return sh, nil
	default:
	}
	sh, err := k.session()
	switch {
	case len(k.most) > 0 && is(err, pkcs11.CKR_SESSION_COUNT):
		return <-k.idle, nil
	case err != nil:
		return 0, classify(opening, err)
	}
	return sh, nil
}
