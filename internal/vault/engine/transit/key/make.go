package key

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Source is where new versions come from.
type Source struct {
	Random io.Reader
	Now    time.Time
	RSA    func(bits int) (*rsa.PrivateKey, error) // nil = rsa.GenerateKey; it takes up to seconds
}

// New makes a key with one version.
func New(r Rules, s Source) (*Key, error) {
	if r.Type == HMAC && r.Size == 0 {
		r.Size = MinHMAC
	}
	r.MinDecryption, r.MinEncryption, r.MinAvailable = 1, 0, 0
	if err := r.check(); err != nil {
		return nil, err
	}
	k := &Key{Rules: r}
	material, err := s.make(r)
	if err != nil {
		return nil, err
	}
	return k.add(material, false, s)
}

// Rotate returns a copy with one more version.
func (k *Key) Rotate(s Source) (*Key, error) {
	material, err := s.make(k.Rules)
	if err != nil {
		return nil, err
	}
	return k.add(material, false, s)
}

// add returns a copy with one more version of that material.
func (k *Key) add(material []byte, publicOnly bool, s Source) (*Key, error) {
	c := k.Clone()
	if c.Latest() >= maxVersion {
		return nil, errs.New(errs.Exhausted, "the key has too many versions: make a new key")
	}
	v := &Version{Number: c.Latest() + 1, Created: s.Now.UTC(), kind: k.Type, publicOnly: publicOnly, material: material}
	if k.Type != HMAC {
		var err error
		if v.mac, err = s.bytes(32); err != nil {
			return nil, err
		}
	}
	c.Versions = append(c.Versions, v)
	return c, nil
}

func (s Source) bytes(n int) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(s.Random, b); err != nil {
		return nil, errs.Newf(errs.Internal, "reading randomness: %w", err)
	}
	return b, nil
}

// make returns new material.
func (s Source) make(r Rules) ([]byte, error) {
	traits := r.Type.traits()
	if r.Type == HMAC {
		return s.bytes(r.Size)
	}
	if r.Type.Symmetric() {
		return s.bytes(traits.size)
	}
	private, err := s.private(r.Type)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making a key of type %s: %w", r.Type, err)
	}
	material, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "encoding a key of type %s: %w", r.Type, err)
	}
	return material, nil
}

func (s Source) private(t Type) (crypto.Signer, error) {
	switch traits := t.traits(); {
	case traits.bits != 0 && s.RSA != nil:
		return s.RSA(traits.bits)
	case traits.bits != 0:
		return rsa.GenerateKey(rand.Reader, traits.bits)
	case traits.curve != nil:
		return ecdsa.GenerateKey(traits.curve, rand.Reader)
	}
	seed, err := s.bytes(ed25519.SeedSize)
	if err != nil {
		return nil, err
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// Material is a key that was brought in: one of its fields is set.
type Material struct {
	Private []byte // symmetric: the bytes of the key; otherwise PKCS #8
	Public  []byte // PEM of a PKIX public key
}

// check returns what to store of m, and whether it is public only.
func (m Material) check(t Type) ([]byte, bool, error) {
	material, publicOnly := m.Private, false
	if m.Public != nil {
		if t.Symmetric() {
			return nil, false, errs.Newf(errs.Invalid, "public keys cannot be imported for keys of type %s", t)
		}
		block, _ := pem.Decode(m.Public)
		if block == nil {
			return nil, false, errs.New(errs.Invalid, "public_key must be PEM of a PKIX public key")
		}
		material, publicOnly = block.Bytes, true
	}
	if _, err := parse(t, material, publicOnly); err != nil {
		return nil, false, err
	}
	return material, publicOnly, nil
}

// Import makes a key of which m is version 1.
func Import(r Rules, m Material, s Source) (*Key, error) {
	r.Imported, r.MinDecryption, r.MinEncryption, r.MinAvailable = true, 1, 0, 0
	if r.Type == HMAC {
		r.Size = min(max(len(m.Private), MinHMAC), MaxHMAC)
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	if r.Derived && m.Public != nil {
		return nil, errs.New(errs.Invalid, "a derived key needs its private half: a public key alone cannot be derived")
	}
	return (&Key{Rules: r}).ImportVersion(m, s)
}

// ImportVersion returns a copy with m as one more version.
func (k *Key) ImportVersion(m Material, s Source) (*Key, error) {
	material, publicOnly, err := m.check(k.Type)
	if err != nil {
		return nil, err
	}
	if k.Derived && publicOnly {
		return nil, errs.New(errs.Invalid, "a derived key needs its private half: a public key alone cannot be derived")
	}
	return k.add(material, publicOnly, s)
}

// ImportPrivate returns a copy whose version n, so far public only, has a
// private key too.
func (k *Key) ImportPrivate(n int, m Material) (*Key, error) {
	old := k.Version(n)
	switch {
	case old == nil:
		return nil, errs.New(errs.Invalid, "the key has no such version to import a private key for")
	case !old.publicOnly || m.Public != nil:
		return nil, errs.Newf(errs.Invalid, "a private key can be imported only for a version that has just a public one")
	}
	material, _, err := m.check(k.Type)
	if err != nil {
		return nil, err
	}
	v := &Version{Number: n, Created: old.Created, kind: k.Type, material: material, mac: old.mac}
	if !v.samePublic(old) {
		return nil, errs.Newf(errs.Invalid, "the private key does not belong to the public key of version %d", n)
	}
	c := k.Clone()
	c.Versions[n-k.First()] = v
	return c, nil
}
