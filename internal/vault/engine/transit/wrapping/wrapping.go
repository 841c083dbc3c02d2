package wrapping

import (
	"crypto"
	"crypto/rsa"
	_ "crypto/sha1" //nolint:gosec // ParseHash names it: old signatures and HSMs need it, and nothing here uses it unasked
	_ "crypto/sha256"
	_ "crypto/sha512"
	"io"

	"github.com/tink-crypto/tink-go/v2/kwp/subtle"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// A wrapped key:
//
//	RSA-OAEP of a 32-byte AES key, without a label; of the modulus' size
//	AES-KWP (RFC 5649) of the target key under that AES key
//
// The target is the bytes of a symmetric key, or PKCS #8 of any other. This is
// Vault's form, and PKCS #11's CKM_RSA_AES_KEY_WRAP.

// Bits of the RSA keys that are made here.
const Bits = 4096

const ephemeralSize = 32

// ParseHash reads OAEP's hash function as clients write it; "" is SHA256.
func ParseHash(name string) (crypto.Hash, error) {
	switch name {
	case "SHA1":
		return crypto.SHA1, nil
	case "SHA224":
		return crypto.SHA224, nil
	case "", "SHA256":
		return crypto.SHA256, nil
	case "SHA384":
		return crypto.SHA384, nil
	case "SHA512":
		return crypto.SHA512, nil
	}
	return 0, errs.New(errs.Invalid, "unsupported hash function: it must be SHA1, SHA224, SHA256, SHA384 or SHA512")
}

// Unwrap returns the target key. All that fails is one error, of kind Invalid,
// that does not tell at which step it did.
func Unwrap(private *rsa.PrivateKey, blob []byte, hash crypto.Hash) ([]byte, error) {
	bad := errs.New(errs.Invalid, "the ciphertext could not be unwrapped: it must be base64 of an AES-256 key encrypted to this mount's wrapping_key with RSA-OAEP and hash_function, followed by the key to import wrapped under it with AES-KWP")
	n := private.Size()
	if len(blob) < n+subtle.MinWrapSize || len(blob) > n+subtle.MaxWrapSize {
		return nil, bad
	}
	ephemeral, err := rsa.DecryptOAEP(hash.New(), nil, private, blob[:n], nil)
	if err != nil || len(ephemeral) != ephemeralSize {
		return nil, bad
	}
	defer clear(ephemeral)
	kwp, err := subtle.NewKWP(ephemeral)
	if err != nil {
		return nil, bad
	}
	target, err := kwp.Unwrap(blob[n:])
	if err != nil {
		return nil, bad
	}
	return target, nil
}

// Wrap wraps a target key of 16 to 8192 bytes for the holder of a private key.
func Wrap(public *rsa.PublicKey, target []byte, hash crypto.Hash, random io.Reader) ([]byte, error) {
	ephemeral := make([]byte, ephemeralSize)
	defer clear(ephemeral)
	if _, err := io.ReadFull(random, ephemeral); err != nil {
		return nil, errs.Newf(errs.Internal, "reading randomness: %w", err)
	}
	front, err := rsa.EncryptOAEP(hash.New(), random, public, ephemeral, nil)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "wrapping a key with RSA-OAEP: %w", err)
	}
	kwp, err := subtle.NewKWP(ephemeral)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "wrapping a key: %w", err)
	}
	wrapped, err := kwp.Wrap(target)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "wrapping a key with AES-KWP: %w", err)
	}
	return append(front, wrapped...), nil
}
