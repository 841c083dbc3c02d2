package gcpkms

import (
	"crypto/sha256"
	"encoding/binary"
	"strconv"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// A blob is what Google answered, behind the number of the version that it is under:
//
//	+---+-----------+------------+
//	| 1 |  version  | ciphertext |
//	|   | 4, big e. |            |
//	+---+-----------+------------+
//
// Google tells of what it decrypts not which version it is under, so the number is
// bound to the ciphertext beside the associated data.
const (
	format   = 1
	headSize = 5
	bindings = "strongkeep gcpkms v1\x00"
)

// version is the number of a version.
type version uint32

func (v version) String() string { return strconv.FormatUint(uint64(v), 10) }

// parseVersion reads what String has made. Kind Invalid.
func parseVersion(text string) (version, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 || version(n).String() != text {
		return 0, errs.Newf(errs.Invalid, "%q is no version of a key in Google Cloud KMS", text)
	}
	return version(n), nil
}

func pack(v version, ciphertext []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{format}, uint32(v)), ciphertext...)
}

// unpack reads a blob. Kinds: Invalid, Unsupported (of a newer Strongkeep).
func unpack(blob []byte) (v version, ciphertext []byte, err error) {
	if len(blob) <= headSize {
		return 0, nil, errs.Newf(errs.Invalid, "%d bytes are too few for what Google Cloud KMS encrypted: it was cut short", len(blob))
	}
	if blob[0] != format {
		return 0, nil, errs.Newf(errs.Unsupported, "an encrypted value has format %d and this version of Strongkeep knows only %d: upgrade it, or the value is damaged", blob[0], format)
	}
	if v = version(binary.BigEndian.Uint32(blob[1:])); v == 0 {
		return 0, nil, errs.New(errs.Invalid, "an encrypted value names no version of a key: it is damaged")
	}
	return v, blob[headSize:], nil
}

// bound is what a ciphertext is bound to. It is short: keys in HSMs take plaintext and
// this of 8 KiB together.
func bound(v version, aad []byte) []byte {
	sum := sha256.Sum256(aad)
	return append(binary.BigEndian.AppendUint32([]byte(bindings), uint32(v)), sum[:]...)
}
