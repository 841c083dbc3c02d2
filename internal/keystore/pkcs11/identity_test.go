//go:build linux && cgo

package pkcs11_test

import (
	"slices"
	"strings"
	"testing"

	binding "github.com/miekg/pkcs11"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/pkcs11test"
)

// wrapped is what a key encrypts now.
func wrapped(t *testing.T, k *pkcs11.Key) []byte {
	t.Helper()
	blob, err := k.Wrap(t.Context(), []byte("aad"), canary)
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

// opened is a blob that opens.
func opened(t *testing.T, what string, k *pkcs11.Key, blob []byte) {
	t.Helper()
	got, err := k.Unwrap(t.Context(), []byte("aad"), blob)
	if err != nil || !got.Equal(canary) {
		t.Errorf("%s: a value does not open: %v", what, err)
	}
	quiet(t, err)
}

func versions(t *testing.T, k *pkcs11.Key) []keystore.Version {
	t.Helper()
	h, err := k.History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h.Versions
}

// A key that loses CKA_ENCRYPT behind a turn, and gets another CKA_ID, is the same version,
// and opens what it encrypted.
func TestSameKeyWithOtherAttributes(t *testing.T) {
	for name, c := range map[string]struct {
		mode    string
		changes map[string]any
	}{
		"by a block": {"", nil}, "by its check value": {"no ECB", map[string]any{"fingerprint": "check-value"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := pkcs11test.New(t).Shim()
			h.Generate("kubernetes/1", "one", nil)
			h.Mode(c.mode)
			k := open(t, h.Settings("kubernetes", c.changes))
			blob, before := wrapped(t, k), version(t, k)
			h.Generate("kubernetes/2", "two", nil)
			h.Change("kubernetes/1", binding.CKA_ENCRYPT, false)
			h.Change("kubernetes/1", binding.CKA_ID, []byte("another"))
			for what, k := range map[string]*pkcs11.Key{"the same client": k, "another client": open(t, h.Settings("kubernetes", c.changes))} {
				all := versions(t, k)
				if len(all) != 2 || all[0].ID != before || all[0].Wraps || !all[1].Wraps {
					t.Errorf("%s: version %s is among %+v", what, before, all)
				}
				opened(t, what, k, blob)
			}
		})
	}
}

// A token without AES-ECB, and a key that may not decrypt, are errors that say so, and not
// keys that are gone: what they have encrypted would be given up.
func TestWhatCannotBeTold(t *testing.T) {
	h := pkcs11test.New(t).Shim()
	h.Generate("kubernetes/1", "one", nil)
	k := open(t, h.Settings("kubernetes", nil))
	blob := wrapped(t, k)
	for say, change := range map[string]func(is bool){
		"set fingerprint: check-value": func(is bool) { h.Mode(map[bool]string{true: "no ECB"}[is]) },
		"CKA_DECRYPT":                  func(is bool) { h.Change("kubernetes/1", binding.CKA_DECRYPT, !is) },
	} {
		change(true)
		_, err := k.History(t.Context())
		_, err2 := k.Unwrap(t.Context(), []byte("aad"), blob)
		_, err3 := k.Wrap(t.Context(), []byte("aad"), canary)
		for _, err := range []error{err, err2, err3} {
			if !errs.Is(err, errs.Unsupported) || !strings.Contains(err.Error(), say) {
				t.Errorf("%v, want kind unsupported saying %q", err, say)
			}
			quiet(t, err)
		}
		change(false)
		opened(t, "when it is right again", k, blob)
	}
}

// Trouble that has passed when the key is tried does not make a value wrong; trouble that
// lasts, or is another one then, is trouble.
func TestTroubleAmidDecrypting(t *testing.T) {
	h, k := token(t, nil)
	blob, pid := wrapped(t, k), k.PID()
	h.Mode("hiccup")
	opened(t, "amid a failover", k, blob)
	if k.PID() != pid {
		t.Error("a failover that had passed took another process")
	}
	for _, mode := range []string{"failing over", "trouble"} {
		h.Mode("")
		k := open(t, h.Settings("kubernetes", nil))
		opened(t, "before", k, blob)
		h.Mode(mode)
		_, err := k.Unwrap(t.Context(), []byte("aad"), blob)
		unavailable(t, mode, err)
	}
}

// A wrong value is refused by a key that may not encrypt too, by its attribute or a policy of
// the token's, and costs no process: values that are right open at once behind it.
func TestWrongUnderAKeyThatEncryptsNothing(t *testing.T) {
	h, k := token(t, nil)
	blob, pid := wrapped(t, k), k.PID()
	bad := slices.Clone(blob)
	bad[len(bad)-1] ^= 1
	wrong := func(what string) {
		t.Helper()
		for range 3 {
			if _, err := k.Unwrap(t.Context(), []byte("aad"), bad); !errs.Is(err, errs.Invalid) {
				t.Errorf("%s: a wrong value: %v, want kind invalid", what, err)
			}
			opened(t, what, k, blob)
		}
		if now := k.PID(); now != pid {
			t.Errorf("%s: a wrong value has cost a process", what)
		}
	}
	wrong("a key that encrypts")
	h.Mode("no encryption")
	wrong("a policy")
	h.Mode("")
	h.Generate("kubernetes/2", "two", nil)
	h.Change("kubernetes/1", binding.CKA_ENCRYPT, false)
	wrong("an attribute")
	h.Mode("no encryption, vaguely")
	wrong("an attribute, and a token that says nothing of why")
}

// What somebody makes without a login is not seen, whatever its label; what somebody who has
// logged in makes of another type or size encrypts nothing, and is in nobody's way.
func TestStrayKeys(t *testing.T) {
	const many = 6 // modules find keys in any order
	short := map[uint]any{binding.CKA_VALUE_LEN: 16}
	h := pkcs11test.New(t)
	h.Generate("kubernetes/1", "one", nil)
	k := open(t, h.Settings("kubernetes", nil))
	blob, before := wrapped(t, k), versions(t, k)

	public := map[uint]any{binding.CKA_PRIVATE: false}
	h.Generate("kubernetes/9", "", map[uint]any{binding.CKA_PRIVATE: false, binding.CKA_VALUE_LEN: 16})
	h.Generate("kubernetes/1", "", public)
	h.Generate("kubernetes/1", "one", map[uint]any{binding.CKA_PRIVATE: false, binding.CKA_VALUE_LEN: 16})
	h.Generate("kubernetes/99", "", public)
	if now := versions(t, k); !slices.Equal(now, before) {
		t.Errorf("with public keys the versions are %+v, not %+v", now, before)
	}
	opened(t, "with public keys", k, blob)
	opened(t, "with public keys, encrypted now", k, wrapped(t, k))

	for range many {
		h.Generate("kubernetes/1", "one", short)
	}
	for _, k := range []*pkcs11.Key{k, open(t, h.Settings("kubernetes", nil))} { // to a new process the keys have other handles
		if now := versions(t, k); !slices.Equal(now, before) {
			t.Errorf("with short keys of its label the versions are %+v, not %+v", now, before)
		}
		opened(t, "with short keys of its label", k, blob)
		opened(t, "with short keys of its label, encrypted now", k, wrapped(t, k))
	}

	h.Generate("kubernetes/7", "", map[uint]any{binding.CKA_KEY_TYPE: binding.CKK_DES3})
	h.Generate("kubernetes/8", "", short)
	h.Generate("kubernetes/8", "", short)
	now := versions(t, k)
	if len(now) != 3 || now[0] != before[0] || now[1].Wraps || now[2].Wraps {
		t.Errorf("with keys of other types the versions are %+v", now)
	}
	opened(t, "with keys of other types", k, blob)
	again, err := k.WrapAs(t.Context(), before[0].ID, []byte("aad"), canary)
	if err != nil {
		t.Fatal(err)
	}
	opened(t, "with keys of other types, encrypted now", k, again)
	for _, err := range []error{second(k.Wrap(t.Context(), nil, canary)), second(k.WrapAs(t.Context(), now[2].ID, nil, canary))} {
		if !errs.Is(err, errs.Unsupported) || !strings.Contains(err.Error(), "no AES key of 256 bits") {
			t.Errorf("wrapping under a key of another size: %v", err)
		}
	}
}

// Two keys of one label are an error that says so, and values still open by the one that they
// are under, also if the other may not be asked what it is.
func TestOpensAmidAConflict(t *testing.T) {
	h := pkcs11test.New(t)
	h.Generate("kubernetes/1", "one", nil)
	k := open(t, h.Settings("kubernetes", nil))
	blob := wrapped(t, k)
	h.Generate("kubernetes/1", "two", nil)
	if _, err := k.History(t.Context()); !errs.Is(err, errs.Conflict) {
		t.Errorf("with two keys of one label: %v", err)
	}
	opened(t, "with two keys of one label", k, blob)
	for range 6 { // modules find keys in any order
		h.Generate("kubernetes/1", "three", map[uint]any{binding.CKA_DECRYPT: false})
	}
	opened(t, "with keys that may not decrypt", k, blob)
	opened(t, "with keys that may not decrypt, in a new process", open(t, h.Settings("kubernetes", nil)), blob)
}
