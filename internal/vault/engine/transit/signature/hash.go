package signature

import (
	"crypto"
	"crypto/hmac"
	_ "crypto/sha1" //nolint:gosec // ParseHash names it: old signatures and HSMs need it, and nothing here uses it unasked
	_ "crypto/sha256"
	_ "crypto/sha3"
	_ "crypto/sha512"
	"hash"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// None is the name of no hash function: the input is signed as it is.
const None = "none"

// DefaultHash is used where none is named.
const DefaultHash = "sha2-256"

type named struct {
	name string
	hash crypto.Hash
}

var hashes = []named{
	{"sha1", crypto.SHA1}, {"sha2-224", crypto.SHA224}, {"sha2-256", crypto.SHA256}, {"sha2-384", crypto.SHA384}, {"sha2-512", crypto.SHA512},
	{"sha3-224", crypto.SHA3_224}, {"sha3-256", crypto.SHA3_256}, {"sha3-384", crypto.SHA3_384}, {"sha3-512", crypto.SHA3_512},
}

// HashNames are the names that ParseHash takes.
func HashNames() string {
	names := make([]string, len(hashes))
	for i, h := range hashes {
		names[i] = h.name
	}
	return strings.Join(names, ", ")
}

// ParseHash reads the name of a hash function; "" is DefaultHash. The error is
// Invalid and lists the names.
func ParseHash(name string) (crypto.Hash, error) {
	if name == "" {
		name = DefaultHash
	}
	for _, h := range hashes {
		if h.name == name {
			return h.hash, nil
		}
	}
	return 0, errs.Newf(errs.Invalid, "invalid hash algorithm: it must be one of %s", HashNames())
}

// Sum hashes input.
func Sum(h crypto.Hash, input []byte) []byte {
	sum := h.New()
	sum.Write(input)
	return sum.Sum(nil)
}

// MAC is HMAC (RFC 2104) with any of the hash functions.
func MAC(h crypto.Hash, key, input []byte) []byte {
	mac := hmac.New(func() hash.Hash { return h.New() }, key)
	mac.Write(input)
	return mac.Sum(nil)
}
