//go:build linux && cgo

package pkcs11_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	binding "github.com/miekg/pkcs11"

	"github.com/strongkeep/strongkeep/internal/keystore"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/pkcs11test"
)

var _ keystore.Guide = (*pkcs11.Key)(nil)

// The command for the next version is run as it stands, with the PIN besides, and the key
// that it makes is turned to. What retires a version takes it away, and what undoes that brings it back.
func TestGuide(t *testing.T) {
	if _, err := exec.LookPath("pkcs11-tool"); err != nil {
		t.Skip("SKIPPED: the command for the next key is not run: it takes Debian's package opensc")
	}
	h := pkcs11test.New(t)
	h.Generate("kubernetes/9", "nine", nil)
	k := open(t, h.Settings("kubernetes", nil))
	blob, first := wrapped(t, k), versions(t, k)[0]
	next := k.Next(keystore.History{Versions: []keystore.Version{{ID: "no id"}, first}})
	if len(next) != 2 || !strings.Contains(next[0], "--label=kubernetes/10 ") {
		t.Fatalf("the next version is made by %q", next)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", next[0]+" --pin=env:TOKEN_PIN")
	cmd.Env = append(os.Environ(), "TOKEN_PIN="+pkcs11test.PIN)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", next[0], err, out)
	}
	all := versions(t, k)
	if len(all) != 2 || all[0] != first || !all[1].Wraps || !strings.HasPrefix(all[1].ID, "10-") {
		t.Fatalf("the versions are %+v", all)
	}
	opened(t, "under the new one", k, wrapped(t, k))

	retire := k.Retire([]string{first.ID}, "")[0]
	for _, label := range []string{"key kubernetes/9 ", "the label retired-kubernetes/9 ", "the label kubernetes/9 brings it back"} {
		if len(retire) != 1 || !strings.Contains(retire[0], label) {
			t.Fatalf("a version is retired by %q", retire)
		}
	}
	h.Change("kubernetes/9", binding.CKA_LABEL, "retired-kubernetes/9")
	if now := versions(t, k); !slices.Equal(now, all[1:]) {
		t.Errorf("without the old one the versions are %+v", now)
	}
	if _, err := k.Unwrap(t.Context(), []byte("aad"), blob); err == nil {
		t.Error("a version that was retired opens")
	}
	h.Change("retired-kubernetes/9", binding.CKA_LABEL, "kubernetes/9")
	if now := versions(t, k); !slices.Equal(now, all) {
		t.Errorf("with the old one again the versions are %+v, not %+v", now, all)
	}
	opened(t, "brought back", k, blob)
}

// What a shell would take for something else is quoted, and what has one version is told so.
func TestGuideWords(t *testing.T) {
	key := func(settings string) keystore.Guide {
		t.Helper()
		k, err := pkcs11.Open([]byte(`{"pin_file":"/p","environment":{"B":"$(x)","A":"/a"},` + settings + `}`))
		if err != nil {
			t.Fatal(err)
		}
		return k.(keystore.Guide)
	}
	for settings, want := range map[string][]string{
		`"module":"/x y.so","token":"it's; a","key":"k"`: {
			`A=/a B='$(x)' pkcs11-tool --module='/x y.so' --token-label='it'\''s; a' --login --keygen --key-type=AES:32 --label=k/1 --sensitive --private`,
		},
		`"module":"/x.so","token":"a","serial":"12ab","key":"k"`: {
			`A=/a B='$(x)' pkcs11-tool --module=/x.so --list-token-slots`,
			`A=/a B='$(x)' pkcs11-tool --module=/x.so --slot=SLOT-OF-12ab --login --keygen --key-type=AES:32 --label=k/1 --sensitive --private`,
		},
	} {
		if got := key(settings).Next(keystore.History{}); len(got) != len(want)+1 || !slices.Equal(got[:len(want)], want) {
			t.Errorf("%s: %q, want %q", settings, got, want)
		}
	}
	one := key(`"module":"/x.so","token":"a","id":"0b"`)
	for _, got := range [][]string{one.Next(keystore.History{}), one.Retire([]string{"0-0102030405060708"}, "")[0]} {
		if len(got) != 1 || !strings.Contains(got[0], "has one version") {
			t.Errorf("a key by its CKA_ID: %q", got)
		}
	}
	if got := key(`"module":"/x.so","token":"a","key":"k"`).Retire([]string{"x"}, "")[0]; len(got) != 1 || !strings.Contains(got[0], "is no version") {
		t.Errorf("retiring what is no version: %q", got)
	}
}
