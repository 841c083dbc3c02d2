//go:build linux && cgo

package pkcs11_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	binding "github.com/miekg/pkcs11"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/keystoretest"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/pkcs11test"
	"github.com/strongkeep/strongkeep/internal/redact"
)

func TestMain(m *testing.M) {
	if parent() {
		return
	}
	os.Exit(pkcs11test.Main(m))
}

// open opens a key of a token, until the test ends.
func open(t testing.TB, settings []byte) *pkcs11.Key {
	t.Helper()
	k, err := pkcs11.Open(settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = k.(*pkcs11.Key).Close() })
	return k.(*pkcs11.Key)
}

func TestKey(t *testing.T) {
	h := pkcs11test.New(t)
	h.Generate("kubernetes/1", "one", nil)
	h.Generate("other/1", "two", nil)
	s := h.Settings("kubernetes", nil)
	keystoretest.Run(t, open(t, s), open(t, s), open(t, h.Settings("other", nil)))
}

func TestTurning(t *testing.T) {
	h := pkcs11test.New(t)
	h.Generate("kubernetes/9", "nine", nil)
	h.Generate("kubernetes", "", nil)   // those are no versions
	h.Generate("kubernetes/0", "", nil) //
	h.Generate("kubernetes/010", "", nil)
	h.Generate("kubernetes/x", "", nil)
	s := h.Settings("kubernetes", nil)
	one := open(t, s)
	keystoretest.Turning(t, one, open(t, s), func() { h.Generate("kubernetes/10", "ten", nil) }) // by number, not by text
	if id := one.KeyID(); id != "pkcs11:token=strongkeep%20test;object=kubernetes" {
		t.Errorf("the key is called %s", id)
	}
}

// One key by its CKA_ID is a key too.
func TestByID(t *testing.T) {
	h := pkcs11test.New(t)
	h.Generate("whatever", "\x01\x02", nil)
	h.Generate("other", "\x01\x03", nil)
	s := h.Settings("", map[string]any{"key": nil, "id": "0102"})
	keystoretest.Run(t, open(t, s), open(t, s), open(t, h.Settings("", map[string]any{"key": nil, "id": "0103"})))
	h.Generate("whatever else", "\x01\x02", nil)
	if _, err := open(t, s).History(t.Context()); !errs.Is(err, errs.Conflict) {
		t.Errorf("two keys with one CKA_ID: %v", err)
	}
}

// A module that makes its own IVs is believed what it says of them; one that has no AES-ECB
// tells keys apart by their check values; and one that has one session lets calls wait for it.
func TestModulesThatDiffer(t *testing.T) {
	for _, mode := range []string{"own IV", "no ECB", "one session"} {
		t.Run(mode, func(t *testing.T) {
			h := pkcs11test.New(t).Shim()
			h.Generate("kubernetes/1", "one", nil)
			h.Generate("other/1", "one", nil) // the same CKA_ID
			h.Mode(mode)
			changes := map[string]any{}
			if mode == "no ECB" {
				changes["fingerprint"] = "check-value"
			}
			s := h.Settings("kubernetes", changes)
			one, other := open(t, s), open(t, h.Settings("other", changes))
			keystoretest.Run(t, one, open(t, s), other)
			if version(t, one) == version(t, other) {
				t.Error("two keys have one fingerprint")
			}
			blob, err := one.Wrap(t.Context(), nil, redact.FromString("x"))
			if own := strings.Contains(string(blob), strings.Repeat("\x5a", 12)); err != nil || own != (mode == "own IV") {
				t.Errorf("the IV is the module's: %v, %v", own, err)
			}
		})
	}
}

// A module whose encryption is wrong is noticed before anything is lost.
func TestWhatDoesNotOpenAgain(t *testing.T) {
	h := pkcs11test.New(t).Shim()
	h.Generate("kubernetes/1", "one", nil)
	h.Mode("other bytes")
	k := open(t, h.Settings("kubernetes", nil))
	if _, err := k.Wrap(t.Context(), nil, redact.FromString("canary")); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("what does not open was given away: %v", err)
	}
}

func version(t testing.TB, k keystore.Versioned) string {
	t.Helper()
	h, err := k.History(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return h.Versions[len(h.Versions)-1].ID
}

// Which keys encrypt, and why others do not.
func TestUsable(t *testing.T) {
	h := pkcs11test.New(t)
	h.Generate("short/1", "", map[uint]any{binding.CKA_VALUE_LEN: 16})
	h.Generate("open/1", "", map[uint]any{binding.CKA_SENSITIVE: false})
	h.Generate("loose/1", "", map[uint]any{binding.CKA_EXTRACTABLE: true})
	h.Generate("public/1", "", map[uint]any{binding.CKA_PRIVATE: false})
	h.Generate("twice/1", "a", nil)
	h.Generate("twice/1", "b", nil)
	for key, c := range map[string]struct {
		kind errs.Kind
		say  string
	}{
		"short": {errs.Unsupported, "no AES key of 256 bits"}, "open": {errs.Unsupported, "CKA_SENSITIVE"}, "loose": {errs.Unsupported, "CKA_EXTRACTABLE"},
		"public": {errs.NotExist, "public ones are not looked at"}, "twice": {errs.Conflict, "two keys"}, "none": {errs.NotExist, `no private AES key called "none/1"`},
	} {
		k := open(t, h.Settings(key, nil))
		_, err := k.History(t.Context())
		_, err2 := k.Wrap(t.Context(), nil, redact.FromString("canary"))
		for _, err := range []error{err, err2} {
			if !errs.Is(err, c.kind) || !strings.Contains(fmt.Sprint(err), c.say) {
				t.Errorf("%s: %v, want kind %v saying %q", key, err, c.kind, c.say)
			}
		}
	}
	h.Generate("turned/1", "a", nil)
	h.Generate("turned/2", "b", map[uint]any{binding.CKA_EXTRACTABLE: true})
	k := open(t, h.Settings("turned", nil))
	got, err := k.History(t.Context())
	if err != nil || len(got.Versions) != 2 || !got.Versions[0].Wraps || got.Versions[1].Wraps {
		t.Fatalf("a version that can leave the token: %+v, %v", got, err)
	}
	for _, err := range []error{second(k.Wrap(t.Context(), nil, redact.FromString("x"))), second(k.WrapAs(t.Context(), got.Versions[1].ID, nil, redact.FromString("x")))} {
		if !errs.Is(err, errs.Unsupported) || !strings.Contains(err.Error(), "CKA_EXTRACTABLE") {
			t.Errorf("wrapping under it: %v", err)
		}
	}
}

func second(_ []byte, err error) error { return err }

// A key that was deleted and made anew, with the same label and CKA_ID, is another version.
func TestMadeAnew(t *testing.T) {
	h := pkcs11test.New(t)
	h.Generate("kubernetes/1", "one", nil)
	k := open(t, h.Settings("kubernetes", nil))
	before := version(t, k)
	blob, err := k.Wrap(t.Context(), nil, redact.FromString("x"))
	if err != nil {
		t.Fatal(err)
	}
	h.Delete("kubernetes/1")
	h.Generate("kubernetes/1", "one", nil)
	if after := version(t, k); after == before {
		t.Error("the new key has the old one's version")
	}
	if _, err := k.Unwrap(t.Context(), nil, blob); !errs.Is(err, errs.NotExist) {
		t.Errorf("unwrapping by a key that is gone: %v", err)
	}
	if _, err := k.WrapAs(t.Context(), before, nil, redact.FromString("x")); !errs.Is(err, errs.NotExist) {
		t.Errorf("wrapping under a version that is gone: %v", err)
	}
}

func TestOpen(t *testing.T) {
	const right = `"module":"/usr/lib/x.so","token":"a","key":"b","pin_file":"/p"`
	if _, err := pkcs11.Open([]byte("{" + right + "}")); err != nil {
		t.Fatal(err)
	}
	for settings, say := range map[string]string{
		`{}`: "module", `{"module":"x.so"}`: "absolute", `{"module":"/a/../x.so"}`: "absolute",
		`{` + right + `,"program":"strongkeep-pkcs11"}`:              "absolute",
		`{` + right + `,"pin":"1234"}`:                               "reading the settings",
		`{` + right + `,"id":"01"}`:                                  "one of key and id",
		`{` + right + `,"environment":{"LD_PRELOAD":"/x"}}`:          "LD_PRELOAD",
		`{` + right + `,"environment":{"A=B":"/x"}}`:                 "A=B",
		`{` + right + `,"timeout":"-1s"}`:                            "timeout",
		`{` + right + `,"start_timeout":"soon"}`:                     "start_timeout",
		`{` + right + `,"fingerprint":"id"}`:                         "only check-value",
		`{` + right + `,"serial":"12345678901234567"}`:               "serial",
		`{"module":"/x.so","token":"a","key":"b"}`:                   "pin_file",
		`{"module":"/x.so","key":"b","pin_file":"/p"}`:               "which token",
		`{"module":"/x.so","token":"a","pin_file":"/p"}`:             "which key",
		`{"module":"/x.so","token":"a ","key":"b","pin_file":"/p"}`:  "label",
		`{"module":"/x.so","token":"a","key":"b/1","pin_file":"/p"}`: "b/1",
		`{"module":"/x.so","token":"a","id":"0g","pin_file":"/p"}`:   "CKA_ID",
	} {
		if _, err := pkcs11.Open([]byte(settings)); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), say) {
			t.Errorf("%s: %v, want it to say %q", settings, err, say)
		}
	}
	var ids []string
	for _, named := range []string{`"token":"a","key":"b"`, `"serial":"a","key":"b"`, `"token":"a;object=b","key":"b"`, `"token":"a","id":"0b"`, `"token":"a","serial":"c","key":"b"`, `"token":"a","key":"b","fingerprint":"check-value"`} {
		k, err := pkcs11.Open([]byte(`{"module":"/x.so","pin_file":"/p",` + named + `}`))
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, k.KeyID())
	}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 6 {
		t.Errorf("keys have ids in common: %q", ids)
	}
}

var _ keystore.Opener = pkcs11.Open
