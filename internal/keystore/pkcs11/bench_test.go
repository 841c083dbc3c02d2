//go:build linux && cgo

package pkcs11_test

import (
	"testing"

	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/pkcs11test"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// What a call costs with SoftHSM, which encrypts in some microseconds: the rest is ours,
// the socket's, and that of finding the key and decrypting once more.
func BenchmarkWrapAs(b *testing.B) {
	h := pkcs11test.New(b)
	h.Generate("kubernetes/1", "one", nil)
	k := open(b, h.Settings("kubernetes", nil))
	seed := redact.New(make([]byte, 32))
	id := version(b, k)
	blob, err := k.WrapAs(b.Context(), id, nil, seed)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("wrap", func(b *testing.B) {
		for b.Loop() {
			if _, err := k.WrapAs(b.Context(), id, nil, seed); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("unwrap", func(b *testing.B) {
		for b.Loop() {
			if _, err := k.Unwrap(b.Context(), nil, blob); err != nil {
				b.Fatal(err)
			}
		}
	})
}
