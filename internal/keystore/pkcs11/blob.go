package pkcs11

import (
	"crypto/sha256"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/keystore/pkcs11/wire"
)

// A blob is what the token has encrypted, behind the version that it is under:
//
//	+---+--------+-------------+--------+----+-----------------+
//	| 1 | number | fingerprint | length | IV | ciphertext, tag |
//	|   |   4    |      8      |   1    |    |       16        |
//	+---+--------+-------------+--------+----+-----------------+
//
// Format and version are authenticated, with a hash of what the value is bound to: some
// modules take little associated data. The IV is 12 bytes, or what the module made itself.
const (
	format   = 1
	headSize = 1 + wire.IDSize
	tagSize  = 16
)

// bound is the associated data of AES-GCM.
func bound(id wire.ID, aad []byte) []byte {
	digest := sha256.Sum256(aad)
	return append(id.Append([]byte("strongkeep\x00\x01")), digest[:]...)
}

func pack(id wire.ID, iv, ciphertext []byte) []byte {
	blob := id.Append([]byte{format})
	blob = append(blob, byte(len(iv)))
	blob = append(blob, iv...)
	return append(blob, ciphertext...)
}

// unpack reads a blob. Kinds: Invalid, Unsupported (of a newer Strongkeep).
func unpack(blob []byte) (id wire.ID, iv, ciphertext []byte, err error) {
	if len(blob) <= headSize {
		return id, nil, nil, errs.Newf(errs.Invalid, "%d bytes are too few for what a PKCS#11 token encrypted: it was cut short", len(blob))
	}
	if blob[0] != format {
		return id, nil, nil, errs.Newf(errs.Unsupported, "an encrypted value has format %d and this version of Strongkeep knows only %d: upgrade it, or the value is damaged", blob[0], format)
	}
	if id, err = wire.DecodeID(blob[1:headSize]); err != nil {
		return id, nil, nil, err
	}
	size, rest := int(blob[headSize]), blob[headSize+1:]
	if size == 0 || len(rest) <= size+tagSize {
		return wire.ID{}, nil, nil, errs.Newf(errs.Invalid, "%d bytes are too few for what a PKCS#11 token encrypted: it was cut short", len(blob))
	}
	return id, rest[:size], rest[size:], nil
}
