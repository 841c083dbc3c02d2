package shamir

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"

	"github.com/cloudflare/circl/group"
	"github.com/cloudflare/circl/secretsharing"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

const (
	// MaxParts is the most shares a key can have: their number is one byte, and not 0.
	MaxParts = 255
	// KeySize is the length of the shared key in bytes.
	KeySize = 32
	// ShareSize is the length of a share in bytes:
	//
	//	+--------+----------------------------------+
	//	| number | value, a scalar of ristretto255, |
	//	| 1..255 | 32 bytes, little-endian, reduced |
	//	+--------+----------------------------------+
	//
	// People see it as 66 hex digits or as 44 characters of base64.
	ShareSize = 1 + scalarSize

	scalarSize = 32
)

// keyInfo separates the shared key from anything else ever derived from the
// shared scalar.
const keyInfo = "strongkeep unseal key v1"

// Deal makes a fresh key and shares it: any threshold of the parts give the key
// back in Combine. A threshold of 1 is possible for a single part only, which
// then is as good as the key. Kind: Invalid.
//
// What is shared is a uniformly random scalar, about 2^252 of them; the key is
// derived from it, since not every 32 bytes are a scalar. The numbers of the
// shares are random, so that a share does not tell how many there are.
func Deal(parts, threshold int) (key redact.Secret, shares []redact.Secret, err error) {
	if err := Check(parts, threshold); err != nil {
		return redact.Secret{}, nil, err
	}
	g := group.Ristretto255
	secret := g.RandomNonZeroScalar(rand.Reader)
	sharing := secretsharing.New(rand.Reader, uint(threshold-1), secret)
	shares = make([]redact.Secret, parts)
	for i, number := range numbers(parts) {
		s := sharing.ShareWithID(g.NewScalar().SetUint64(uint64(number)))
		raw := make([]byte, 1, ShareSize)
		raw[0] = number
		value, err := s.Value.MarshalBinary()
		if err != nil {
			return redact.Secret{}, nil, errs.Newf(errs.Internal, "encoding a share: %w", err)
		}
		shares[i] = redact.New(append(raw, value...))
		clear(value)
	}
	key, err = derive(secret)
	return key, shares, err
}

// Check returns Invalid unless a key can be shared in so many parts.
func Check(parts, threshold int) error {
	switch {
	case parts < 1 || parts > MaxParts:
		return errs.Newf(errs.Invalid, "a key cannot be split into %d shares: choose 1 to %d", parts, MaxParts)
	case threshold < 1:
		return errs.Newf(errs.Invalid, "a threshold of %d is not possible: choose 1 to %d", threshold, parts)
	case threshold > parts:
		return errs.Newf(errs.Invalid, "a threshold of %d is more than the %d shares there would be: lower the threshold or make more shares", threshold, parts)
	case threshold == 1 && parts > 1:
		return errs.Newf(errs.Invalid, "with a threshold of 1 each of %d shares alone opens the vault: choose a threshold of at least 2, or a single share", parts)
	}
	return nil
}

// numbers returns n different random bytes, none of them 0. A collision is
// drawn again, which tells nothing about a secret.
func numbers(n int) []byte {
	var taken [256]bool
	taken[0] = true
	out := make([]byte, 0, n)
	var pool [64]byte
	for len(out) < n {
		_, _ = rand.Read(pool[:]) // never fails: crypto/rand ends the program first
		for _, b := range pool {
			if !taken[b] && len(out) < n {
				taken[b] = true
				out = append(out, b)
			}
		}
	}
	return out
}

// Combine returns the key whose shares these are. It must get exactly as many
// as the threshold, or more. It cannot know whether they belong together:
// wrong or too few shares give a wrong key, which the caller notices when the
// key does not open what it should. Kind: Invalid, for shares that cannot be.
func Combine(shares []redact.Secret) (redact.Secret, error) {
	if len(shares) == 0 {
		return redact.Secret{}, errs.New(errs.Invalid, "no shares to combine")
	}
	var seen [256]bool
	parts := make([]secretsharing.Share, len(shares))
	for i, s := range shares {
		part, err := decode(s.Reveal())
		if err != nil {
			return redact.Secret{}, err
		}
		number := s.Reveal()[0]
		if seen[number] {
			return redact.Secret{}, errs.New(errs.Invalid, "the same share was given twice, or two shares are from different sets: give shares that were made together, each once")
		}
		seen[number] = true
		parts[i] = part
	}
	secret, err := secretsharing.Recover(uint(len(parts)-1), parts)
	if err != nil {
		return redact.Secret{}, errs.New(errs.Invalid, "these shares cannot be combined")
	}
	return derive(secret)
}

// Number returns a share's number, which is no secret.
func Number(share redact.Secret) byte { return share.Reveal()[0] }

// Parse reads a share as people have it: hex or base64, told apart by length,
// with white space around it. Kind: Invalid; the message never quotes the text.
func Parse(text redact.Secret) (redact.Secret, error) {
	trimmed := trim(text.Reveal())
	raw := make([]byte, ShareSize)
	var n int
	var err error
	switch len(trimmed) {
	case hex.EncodedLen(ShareSize):
		n, err = hex.Decode(raw, trimmed)
	case base64.StdEncoding.EncodedLen(ShareSize):
		n, err = base64.StdEncoding.Strict().Decode(raw, trimmed)
	default:
		return redact.Secret{}, errs.Newf(errs.Invalid, "an unseal key share is %d hex digits or %d characters of base64, and this has %d characters: check that it was copied whole",
			hex.EncodedLen(ShareSize), base64.StdEncoding.EncodedLen(ShareSize), len(trimmed))
	}
	if err != nil || n != ShareSize { // base64 skips line breaks, so it can come out short
		clear(raw)
		return redact.Secret{}, errs.New(errs.Invalid, "an unseal key share has a character that is neither hex nor base64: check that it was copied unchanged")
	}
	if _, err := decode(raw); err != nil {
		clear(raw)
		return redact.Secret{}, err
	}
	return redact.New(raw), nil
}

func trim(b []byte) []byte {
	space := func(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }
	for len(b) > 0 && space(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && space(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func decode(raw []byte) (secretsharing.Share, error) {
	if len(raw) != ShareSize {
		return secretsharing.Share{}, errs.Newf(errs.Invalid, "an unseal key share has %d bytes, not %d", ShareSize, len(raw))
	}
	g := group.Ristretto255
	value := g.NewScalar()
	if raw[0] == 0 || value.UnmarshalBinary(raw[1:]) != nil {
		return secretsharing.Share{}, errs.New(errs.Invalid, "this is no unseal key share of Strongkeep: check that it was copied unchanged and belongs to this vault")
	}
	return secretsharing.Share{ID: g.NewScalar().SetUint64(uint64(raw[0])), Value: value}, nil
}

func derive(secret group.Scalar) (redact.Secret, error) {
	raw, err := secret.MarshalBinary()
	if err != nil {
		return redact.Secret{}, errs.Newf(errs.Internal, "encoding the shared scalar: %w", err)
	}
	defer clear(raw)
	key, err := hkdf.Key(sha256.New, raw, nil, keyInfo, KeySize)
	if err != nil {
		return redact.Secret{}, errs.Newf(errs.Internal, "deriving the unseal key: %w", err)
	}
	return redact.New(key), nil
}
