package keypair

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"io"
	"slices"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// The types of keys, as key_type names them. Any is for roles that sign requests.
const (
	RSA     = "rsa"
	EC      = "ec"
	Ed25519 = "ed25519"
	Any     = "any"
)

// MinRSA is the fewest bits of an RSA key that is made, signed for or imported.
const MinRSA = 2048

var (
	rsaBits = []int{2048, 3072, 4096, 8192}
	ecBits  = []int{224, 256, 384, 521}
)

// Check returns the bits of a key of that type: bits, or the type's default for
// 0. Kind Invalid: there is no such type or size.
func Check(kind string, bits int) (int, error) {
	switch kind {
	case RSA:
		if bits == 0 {
			return MinRSA, nil
		}
		if !slices.Contains(rsaBits, bits) {
			return 0, errs.New(errs.Invalid, "unsupported bit length for RSA key: key_bits must be 2048, 3072, 4096 or 8192")
		}
	case EC:
		if bits == 0 {
			return 256, nil
		}
		if !slices.Contains(ecBits, bits) {
			return 0, errs.New(errs.Invalid, "unsupported bit length for EC key: key_bits must be 224, 256, 384 or 521")
		}
	case Ed25519, Any:
		return 0, nil // key_bits means nothing to them
	default:
		return 0, errs.New(errs.Invalid, "unknown key type: key_type must be rsa, ec or ed25519")
	}
	return bits, nil
}

func curve(bits int) elliptic.Curve {
	switch bits {
	case 224:
		return elliptic.P224()
	case 384:
		return elliptic.P384()
	case 521:
		return elliptic.P521()
	}
	return elliptic.P256()
}

// Generate makes a key of a type and size that Check takes. RSA keys take up to
// seconds, and come from crypto/rand whatever random is.
func Generate(random io.Reader, kind string, bits int) (crypto.Signer, error) {
	bits, err := Check(kind, bits)
	if err != nil {
		return nil, err
	}
	switch kind {
	case RSA:
		key, err := rsa.GenerateKey(rand.Reader, bits)
		return key, errs.As(errs.Internal, err)
	case EC:
		return generateEC(random, curve(bits))
	case Ed25519:
		seed := make([]byte, ed25519.SeedSize)
		if _, err := io.ReadFull(random, seed); err != nil {
			return nil, errs.Newf(errs.Internal, "reading randomness: %w", err)
		}
		return ed25519.NewKeyFromSeed(seed), nil
	}
	return nil, errs.New(errs.Invalid, `no key can be made of key_type "any": it is for roles that sign requests`)
}

// generateEC makes a key by rejection sampling (FIPS 186-5, A.2.2) of random,
// which ecdsa.GenerateKey would ignore: a handler that runs twice must do the same.
func generateEC(random io.Reader, c elliptic.Curve) (crypto.Signer, error) {
	bits := c.Params().BitSize
	d := make([]byte, (bits+7)/8)
	for range 128 { // P-256 and P-384 reject one in 2^32 and less, P-521 none
		if _, err := io.ReadFull(random, d); err != nil {
			return nil, errs.Newf(errs.Internal, "reading randomness: %w", err)
		}
		if spare := len(d)*8 - bits; spare > 0 {
			d[0] &= 0xff >> spare
		}
		if key, err := ecdsa.ParseRawPrivateKey(c, d); err == nil {
			return key, nil
		}
	}
	return nil, errs.New(errs.Internal, "making an EC key: the source of randomness is broken")
}

// Describe returns the type and bits of a public key; "" for one of another type.
func Describe(public crypto.PublicKey) (kind string, bits int) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return RSA, k.N.BitLen()
	case *ecdsa.PublicKey:
		return EC, k.Curve.Params().BitSize
	case ed25519.PublicKey:
		return Ed25519, 256
	}
	return "", 0
}

// CheckPublic judges a public key that somebody brings: a known type, and, if
// kind is not Any, that type with at least so many bits (0 = the type's least).
// RSA has at least MinRSA bits always, and a public exponent of at least 65537
// that is odd (NIST SP 800-89 §5.3.3).
func CheckPublic(public crypto.PublicKey, kind string, bits int) error {
	got, size := Describe(public)
	switch {
	case got == "":
		return errs.New(errs.Invalid, "the public key must be RSA, ECDSA (P-224 to P-521) or Ed25519")
	case kind != Any && got != kind:
		return errs.Newf(errs.Invalid, "role requires keys of type %s", kind)
	}
	if k, ok := public.(*rsa.PublicKey); ok {
		if err := checkRSA(k); err != nil {
			return err
		}
	}
	if kind != Any && got != Ed25519 && size < bits {
		return errs.Newf(errs.Invalid, "role requires a minimum of a %d-bit key, but CSR's key is %d bits", bits, size)
	}
	return nil
}

func checkRSA(k *rsa.PublicKey) error {
	switch size := k.N.BitLen(); {
	case size < MinRSA:
		return errs.Newf(errs.Invalid, "RSA keys < %d bits are unsafe and not supported", MinRSA)
	case size > 16384:
		return errs.New(errs.Invalid, "RSA keys of more than 16384 bits are not supported")
	case k.E < 65537 || k.E%2 == 0:
		return errs.New(errs.Invalid, "the public exponent of an RSA key must be odd and at least 65537")
	}
	return nil
}

// Same reports whether two public keys are the same.
func Same(a, b crypto.PublicKey) bool {
	k, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(b)
}

// Signer returns a signer for which ECDSA is deterministic (RFC 6979) whatever
// randomness it is given: what signs twice in one transaction must do the same.
func Signer(key crypto.Signer) crypto.Signer {
	if k, ok := key.(*ecdsa.PrivateKey); ok {
		return deterministic{k}
	}
	return key
}

type deterministic struct{ *ecdsa.PrivateKey }

// Sign implements crypto.Signer.
func (d deterministic) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return d.PrivateKey.Sign(nil, digest, opts)
}
