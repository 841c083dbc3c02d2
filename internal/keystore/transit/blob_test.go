package transit_test

import (
	"bytes"
	"testing"

	"github.com/strongkeep/strongkeep/internal/keystore/transit"
)

func TestPackRefuses(t *testing.T) {
	for _, text := range []string{"", "vault:v1:", "vault:v0:AAAA", "vault:v-1:AAAA", "vault:v1:AAA", "vault:v1:AAB=x", "vault:v4294967296:AAAA", "other:v1:AAAA", "vault:v1", "vault:vx:AAAA"} {
		if blob, err := transit.Pack(text); err == nil {
			t.Errorf("%q is packed to %x", text, blob)
		}
	}
}

func FuzzBlob(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 3, 9})
	f.Add([]byte{1, 0, 0, 0, 0, 9})
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, blob []byte) {
		version, text, err := transit.Unpack(blob)
		if err != nil {
			return
		}
		again, err := transit.Pack(text)
		if version == "0" {
			if err == nil {
				t.Error("there is a version 0")
			}
			return
		}
		if err != nil || !bytes.Equal(again, blob) {
			t.Errorf("%x unpacks to %q, which packs to %x, %v", blob, text, again, err)
		}
	})
}
