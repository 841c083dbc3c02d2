package pkcs11

import (
	"bytes"
	"testing"

	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/wire"
)

// A blob is read as it was written, or not at all.
func FuzzBlob(f *testing.F) {
	f.Add(pack(wire.ID{Number: 3}, make([]byte, 12), make([]byte, 17)))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, blob []byte) {
		id, iv, ciphertext, err := unpack(blob)
		if err == nil && (!bytes.Equal(pack(id, iv, ciphertext), blob) || len(iv) == 0 || len(ciphertext) <= tagSize) {
			t.Errorf("%x was read as %v, %x, %x", blob, id, iv, ciphertext)
		}
	})
}

// What a blob is bound to is not the same for another version or other data.
func TestBound(t *testing.T) {
	seen := map[string]bool{}
	for _, id := range []wire.ID{{}, {Number: 1}, {Print: [8]byte{1}}} {
		for _, aad := range []string{"", "a", "b"} {
			seen[string(bound(id, []byte(aad)))] = true
		}
	}
	if len(seen) != 9 {
		t.Errorf("of 9 blobs %d are bound to different things", len(seen))
	}
}
