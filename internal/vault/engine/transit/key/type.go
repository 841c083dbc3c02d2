package key

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/elliptic"
	"slices"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Type is what a key's material is. The numbers are stored: never change one.
type Type uint8

// The types, named as in Vault's API.
const (
	AES256GCM96 Type = iota + 1
	AES128GCM96
	ChaCha20Poly1305
	XChaCha20Poly1305 // 192-bit nonces: no limit on random ones that matters
	Ed25519
	ECDSAP256
	ECDSAP384
	ECDSAP521
	RSA2048
	RSA3072
	RSA4096
	HMAC
	typeCount
)

// traits are what a type can do. Symmetric ones have size and seal, or size
// alone; of the others exactly one of curve and bits is set, or neither: Ed25519.
type traits struct {
	name     string
	size     int // bytes of a symmetric key; of HMAC the default
	seal     func(key []byte) (cipher.AEAD, error)
	curve    elliptic.Curve
	bits     int // of an RSA modulus
	encrypts bool
	signs    bool
	derives  bool
}

// MinHMAC and MaxHMAC bound the bytes of an HMAC key: below it is weak, and
// above the block of SHA-512 it is only hashed.
const (
	MinHMAC = 32
	MaxHMAC = 512
)

var types = [typeCount]traits{
	AES256GCM96:       {name: "aes256-gcm96", size: 32, seal: newGCM, encrypts: true, derives: true},
	AES128GCM96:       {name: "aes128-gcm96", size: 16, seal: newGCM, encrypts: true, derives: true},
	ChaCha20Poly1305:  {name: "chacha20-poly1305", size: chacha20poly1305.KeySize, seal: chacha20poly1305.New, encrypts: true, derives: true},
	XChaCha20Poly1305: {name: "xchacha20-poly1305", size: chacha20poly1305.KeySize, seal: chacha20poly1305.NewX, encrypts: true, derives: true},
	Ed25519:           {name: "ed25519", signs: true, derives: true},
	ECDSAP256:         {name: "ecdsa-p256", curve: elliptic.P256(), signs: true},
	ECDSAP384:         {name: "ecdsa-p384", curve: elliptic.P384(), signs: true},
	ECDSAP521:         {name: "ecdsa-p521", curve: elliptic.P521(), signs: true},
	RSA2048:           {name: "rsa-2048", bits: 2048, encrypts: true, signs: true},
	RSA3072:           {name: "rsa-3072", bits: 3072, encrypts: true, signs: true},
	RSA4096:           {name: "rsa-4096", bits: 4096, encrypts: true, signs: true},
	HMAC:              {name: "hmac", size: MinHMAC},
}

// newGCM is AES-GCM with 96-bit nonces and 128-bit tags (NIST SP 800-38D).
func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// ParseType reads a type's name. The error is Invalid and lists the names.
func ParseType(name string) (Type, error) {
	for t := Type(1); t < typeCount; t++ {
		if types[t].name == name {
			return t, nil
		}
	}
	return 0, errs.Newf(errs.Invalid, "unknown key type: it must be one of %s", strings.Join(TypeNames(), ", "))
}

// TypeNames are the names that ParseType takes, sorted.
func TypeNames() []string {
	var names []string
	for _, t := range types[1:] {
		names = append(names, t.name)
	}
	slices.Sort(names)
	return names
}

func (t Type) traits() *traits {
	if t >= typeCount {
		return &types[0]
	}
	return &types[t]
}

func (t Type) valid() bool { return t > 0 && t < typeCount }

// String returns the type's name, "" for no type.
func (t Type) String() string { return t.traits().name }

// Encrypts reports whether keys of the type encrypt and decrypt.
func (t Type) Encrypts() bool { return t.traits().encrypts }

// Signs reports whether keys of the type sign and verify.
func (t Type) Signs() bool { return t.traits().signs }

// Derives reports whether keys of the type can be derived by a context.
func (t Type) Derives() bool { return t.traits().derives }

// AEAD reports whether keys of the type take associated data.
func (t Type) AEAD() bool { return t.traits().seal != nil }

// Symmetric reports whether there is no public half.
func (t Type) Symmetric() bool { return t.traits().size != 0 }

// RSA reports whether the type is RSA, of any size.
func (t Type) RSA() bool { return t.traits().bits != 0 }
