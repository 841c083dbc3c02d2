package key

import (
	"bytes"
	"crypto"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Version is one generation of a key. It is safe for concurrent use, and what
// it takes to use the material is worked out once.
type Version struct {
	Number  int
	Created time.Time // UTC

	kind       Type
	publicOnly bool   // material is the PKIX public key; there is no private one
	material   []byte // symmetric: the key; otherwise PKCS #8
	mac        []byte // the version's own HMAC key; nil for type HMAC, whose material it is

	once   sync.Once
	parsed parsed
	err    error
}

// parsed is material, ready for use.
type parsed struct {
	aead    cipher.AEAD
	private crypto.Signer // nil for symmetric and public-only versions
	public  crypto.PublicKey
}

// use returns the material ready for use; an error is Internal.
func (v *Version) use() (*parsed, error) {
	v.once.Do(func() {
		v.parsed, v.err = parse(v.kind, v.material, v.publicOnly)
		if v.err != nil {
			v.err = errs.Newf(errs.Internal, "reading version %d of a key of type %s: %w", v.Number, v.kind, v.err)
		}
	})
	return &v.parsed, v.err
}

// parse reads material; an error is Invalid and quotes nothing of it.
func parse(t Type, material []byte, publicOnly bool) (p parsed, err error) {
	switch {
	case t.Symmetric():
		return parseSymmetric(t, material)
	case publicOnly:
		p.public, err = x509.ParsePKIXPublicKey(material)
		if err != nil {
			return parsed{}, errs.New(errs.Invalid, "the public key is not PKIX (SubjectPublicKeyInfo)")
		}
	default:
		private, err := x509.ParsePKCS8PrivateKey(material)
		signer, ok := private.(crypto.Signer)
		if err != nil || !ok {
			return parsed{}, errs.New(errs.Invalid, "the private key is not PKCS #8")
		}
		p.private, p.public = signer, signer.Public()
	}
	if !t.fits(p.public) {
		return parsed{}, errs.Newf(errs.Invalid, "the key is not of type %s", t)
	}
	return p, nil
}

func parseSymmetric(t Type, material []byte) (p parsed, err error) {
	traits := t.traits()
	switch {
	case t == HMAC && len(material) >= MinHMAC && len(material) <= MaxHMAC:
		return p, nil
	case t == HMAC:
		return p, errs.Newf(errs.Invalid, "invalid key size of %d bytes for a key of type hmac: it must be between %d and %d", len(material), MinHMAC, MaxHMAC)
	case len(material) != traits.size:
		return p, errs.Newf(errs.Invalid, "invalid key size of %d bytes for a key of type %s: it must be %d", len(material), t, traits.size)
	}
	p.aead, err = traits.seal(material)
	return p, err
}

// fits reports whether a public key is one of the type.
func (t Type) fits(public crypto.PublicKey) bool {
	switch public := public.(type) {
	case *rsa.PublicKey:
		return t.RSA() && public.N.BitLen() == t.traits().bits
	case *ecdsa.PublicKey:
		return t.traits().curve != nil && public.Curve == t.traits().curve
	case ed25519.PublicKey:
		return t == Ed25519
	}
	return false
}

// PublicOnly reports whether the version can only verify and, if RSA, encrypt.
func (v *Version) PublicOnly() bool { return v.publicOnly }

// AEAD returns the cipher of a symmetric version of a key that is not derived.
func (v *Version) AEAD() (cipher.AEAD, error) {
	p, err := v.use()
	if err != nil {
		return nil, err
	}
	return p.aead, nil
}

// Public returns the public key of an asymmetric version.
func (v *Version) Public() (crypto.PublicKey, error) {
	p, err := v.use()
	if err != nil {
		return nil, err
	}
	return p.public, nil
}

// Private returns the private key of an asymmetric version; Invalid if it has none.
func (v *Version) Private() (crypto.Signer, error) {
	p, err := v.use()
	if err != nil {
		return nil, err
	}
	if p.private == nil {
		return nil, errs.Newf(errs.Invalid, "version %d has only a public key: import its private key, or use a version that has one", v.Number)
	}
	return p.private, nil
}

// MAC returns the version's HMAC key. Do not change it.
func (v *Version) MAC() []byte {
	if v.kind == HMAC {
		return v.material
	}
	return v.mac
}

// ErrNoContext is what a use of a derived key without a context fails with.
var ErrNoContext = errs.New(errs.Invalid, "missing 'context' for key derivation; the key was created using a derived key, which means additional, per-request information must be included in order to perform operations with the key")

// Derive returns size bytes that belong to context alone: HKDF-SHA256 (RFC 5869)
// of the material without salt, the context being the info. Vault derives its
// keys in the same way, so that an exported key and its ciphertexts move.
func (v *Version) Derive(context []byte, size int) ([]byte, error) {
	if len(context) == 0 {
		return nil, ErrNoContext
	}
	secret := v.material
	if v.kind == Ed25519 {
		p, err := v.use()
		if err != nil {
			return nil, err
		}
		private, ok := p.private.(ed25519.PrivateKey)
		if !ok {
			return nil, errs.New(errs.Invalid, "a key of which only the public half is here cannot be derived")
		}
		secret = private
	}
	derived, err := hkdf.Key(sha256.New, secret, nil, string(context), size)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "deriving a key: %w", err)
	}
	return derived, nil
}

// Signer returns what signs for the context of a derived key; for other keys
// the context is not looked at.
func (k *Key) Signer(v *Version, context []byte) (crypto.Signer, error) {
	if !k.Derived {
		return v.Private()
	}
	seed, err := v.Derive(context, ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// Verifier is the public half of Signer.
func (k *Key) Verifier(v *Version, context []byte) (crypto.PublicKey, error) {
	if !k.Derived {
		return v.Public()
	}
	signer, err := k.Signer(v, context)
	if err != nil {
		return nil, err
	}
	return signer.Public(), nil
}

// DeriveAEAD returns the cipher of a derived key for a context, and more bytes
// of what was derived, for whoever needs more keys.
func (v *Version) DeriveAEAD(context []byte, more int) (cipher.AEAD, []byte, error) {
	traits := v.kind.traits()
	derived, err := v.Derive(context, traits.size+more)
	if err != nil {
		return nil, nil, err
	}
	aead, err := traits.seal(derived[:traits.size])
	if err != nil {
		return nil, nil, errs.Newf(errs.Internal, "using a derived key: %w", err)
	}
	return aead, derived[traits.size:], nil
}

// samePublic reports whether two versions have the same public half.
func (v *Version) samePublic(w *Version) bool {
	a, errA := v.Public()
	b, errB := w.Public()
	if errA != nil || errB != nil || a == nil {
		return false
	}
	x, errX := x509.MarshalPKIXPublicKey(a)
	y, errY := x509.MarshalPKIXPublicKey(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
