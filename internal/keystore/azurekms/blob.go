package azurekms

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/seal/box"
)

// A blob is a data key, wrapped, and a box (AES-256-GCM) under it:
//
//	+---+-----------+---------+-----------+---------+-----+
//	| 1 | algorithm | version | length of | wrapped | box |
//	|   |     1     |   16    | wrapped 2 |         |     |
//	+---+-----------+---------+-----------+---------+-----+
//
// All in front of the box is bound to it, beside the associated data.
const (
	format   = 1
	fixed    = 20
	bindings = "strongkeep azurekms v1\x00"
)

// head is what stands in front of a box.
type head struct {
	algorithm byte   // an index of algorithms
	version   string // 32 hexadecimal digits
	wrapped   []byte
}

// isVersion reports whether text is a version of a key in Key Vault.
func isVersion(text string) bool {
	raw, err := hex.DecodeString(text)
	return err == nil && len(raw) == 16 && hex.EncodeToString(raw) == text
}

func (h head) append(blob []byte) []byte {
	raw, _ := hex.DecodeString(h.version) // isVersion
	blob = append(append(blob, format, h.algorithm), raw...)
	blob = binary.BigEndian.AppendUint16(blob, uint16(len(h.wrapped))) // seal has looked
	return append(blob, h.wrapped...)
}

// unpack reads a blob. Kinds: Invalid, Unsupported (of a newer Strongkeep).
func unpack(blob []byte) (h head, sealed []byte, err error) {
	if len(blob) < fixed {
		return h, nil, errs.Newf(errs.Invalid, "%d bytes are too few for what was encrypted by Azure Key Vault: it was cut short", len(blob))
	}
	if blob[0] != format || int(blob[1]) >= len(algorithms) {
		return h, nil, errs.Newf(errs.Unsupported, "an encrypted value has format %d.%d, which this version of Strongkeep does not know: upgrade it, or the value is damaged", blob[0], blob[1])
	}
	end := fixed + int(binary.BigEndian.Uint16(blob[fixed-2:]))
	if len(blob) < end+box.Overhead {
		return h, nil, errs.Newf(errs.Invalid, "%d bytes are too few for what was encrypted by Azure Key Vault: it was cut short", len(blob))
	}
	return head{algorithm: blob[1], version: hex.EncodeToString(blob[2 : fixed-2]), wrapped: blob[fixed:end]}, blob[end:], nil
}

// bound is what a box is bound to.
func bound(h head, aad []byte) []byte { return append(h.append([]byte(bindings)), aad...) }

// newDataKey makes the key of one value. The caller wipes it.
func newDataKey() []byte {
	key := make([]byte, box.KeySize)
	_, _ = rand.Read(key) // never fails: crypto/rand ends the program first
	return key
}

// seal makes a blob of plain under a data key, which h has wrapped.
func seal(h head, key, aad, plain []byte) ([]byte, error) {
	const most = 4096
	if len(h.wrapped) == 0 || len(h.wrapped) > most {
		return nil, errs.Newf(errs.Unavailable, "Key Vault's answer has a wrapped key of %d bytes", len(h.wrapped))
	}
	b, err := box.New(key)
	if err != nil {
		return nil, err
	}
	return b.Append(h.append(nil), bound(h, aad), plain), nil
}

// open returns what a box has, by its data key.
func open(h head, key, aad, sealed []byte) ([]byte, error) {
	if len(key) != box.KeySize {
		return nil, errs.Newf(errs.Invalid, "what Key Vault unwraps has %d bytes, and is no key of ours", len(key))
	}
	b, err := box.New(key)
	if err != nil {
		return nil, err
	}
	return b.Open(bound(h, aad), sealed)
}
