package box

import (
	"crypto/aes"
	"crypto/cipher"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// KeySize is the length of a key in bytes: AES-256.
const KeySize = 32

// Version is the only format there is:
//
//	+---------+-------+-----------------+-----+
//	| version | nonce | ciphertext      | tag |
//	|  1 = 1  |  12   | as long as the  | 16  |
//	|         |       | plaintext       |     |
//	+---------+-------+-----------------+-----+
//
// Tag and ciphertext are AES-256-GCM's, over the plaintext and the caller's
// associated data. The version itself is not authenticated: with one version
// there is nothing to confuse it with, and a second one must use other keys or
// other associated data.
const Version = 1

// Overhead is how many bytes a box is longer than what it holds.
const Overhead = 1 + nonceSize + tagSize

const (
	nonceSize = 12
	tagSize   = 16
)

// Box encrypts under one key. It is safe for concurrent use.
//
// Nonces are random, so a key must not encrypt more than 2^32 times (NIST SP
// 800-38D, 8.3); who owns the Box counts.
//
// The cipher lies behind a function for the reason given at redact.Secret: fmt
// would otherwise find its way to the expanded key.
type Box struct{ aead func() cipher.AEAD }

// New returns a Box for a key of KeySize bytes. It keeps an expanded copy of
// key, which cannot be wiped and is gone when the collector frees the Box; key
// itself may be wiped at once.
func New(key []byte) (Box, error) {
	if len(key) != KeySize {
		return Box{}, errs.Newf(errs.Internal, "an AES-256 key has %d bytes, not %d", KeySize, len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return Box{}, errs.Newf(errs.Internal, "preparing AES-256: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return Box{}, errs.Newf(errs.Internal, "preparing AES-256-GCM: %w", err)
	}
	return Box{func() cipher.AEAD { return aead }}, nil
}

// Append encrypts plaintext, binds it to aad and appends the box to dst. With
// room for Overhead more than the plaintext in dst it does not allocate.
func (b Box) Append(dst, aad, plaintext []byte) []byte {
	return b.aead().Seal(append(dst, Version), nil, plaintext, aad) //nolint:gosec // G407: the cipher makes a random nonce itself
}

// Open returns what Append put in. Kinds: Internal (damaged, made with another
// key or other aad), Unsupported (made by a newer Strongkeep).
func (b Box) Open(aad, sealed []byte) ([]byte, error) {
	if len(sealed) < Overhead {
		return nil, errs.Newf(errs.Internal, "%d bytes are too few for an encrypted value: it was cut short", len(sealed))
	}
	if sealed[0] != Version {
		return nil, errs.Newf(errs.Unsupported, "an encrypted value has format %d and this version of Strongkeep knows only %d: upgrade it, or the value is damaged", sealed[0], Version)
	}
	plaintext, err := b.aead().Open(nil, nil, sealed[1:], aad)
	if err != nil {
		return nil, errs.New(errs.Internal, "an encrypted value does not authenticate: it was changed, moved from elsewhere, or made with another key")
	}
	return plaintext, nil
}
