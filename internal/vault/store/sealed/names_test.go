package sealed

import (
	"bytes"
	"hash/maphash"
	"testing"

	"github.com/tink-crypto/tink-go/v2/daead/subtle"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

func newNames(t testing.TB) *names {
	t.Helper()
	siv, err := subtle.NewAESSIV(bytes.Repeat([]byte{7}, subtle.AESSIVKeySize))
	if err != nil {
		t.Fatal(err)
	}
	return &names{siv: siv, plain: []string{"lease/"}, known: pairs{seed: maphash.MakeSeed()}}
}

// FuzzNames: every key comes back as it went, whether it is remembered or not,
// and no stored name, however made, does harm or opens as something else.
func FuzzNames(f *testing.F) {
	for _, key := range []string{"a", "a/b", "a/b/", "lease/x/y", "leasex/y", "a//b", "/", "", "a/\x00/\xff", "a/b/c/d/e/f"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, fresh := newNames(t), newNames(t)
		hidden, err := n.hide(s)
		switch {
		case errs.Is(err, errs.TooLarge):
			return
		case err != nil:
			t.Fatal(err)
		case len(hidden) > store.MaxKey:
			t.Fatalf("%d bytes are over the limit", len(hidden))
		}
		for _, names := range []*names{n, fresh} {
			if key, err := names.revealKey(hidden); err != nil || key != s {
				t.Fatalf("%q came back as %q, %v", s, key, err)
			}
		}
		if again, err := fresh.hide(s); err != nil || again != hidden {
			t.Fatalf("%q is stored as %q and as %q (%v)", s, hidden, again, err)
		}
		// s as somebody's forgery of a stored name
		if key, err := newNames(t).revealKey(s); err == nil {
			if back, err := newNames(t).hide(key); err != nil || back != s {
				t.Fatalf("the forged %q opens as %q, which is stored as %q (%v)", s, key, back, err)
			}
		}
	})
}
