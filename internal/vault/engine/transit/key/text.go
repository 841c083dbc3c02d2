package key

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// PublicText returns a public key as clients read it: Ed25519 as base64 of its
// 32 bytes, others as PEM of PKIX.
func PublicText(public crypto.PublicKey) (string, error) {
	if public, ok := public.(ed25519.PublicKey); ok {
		return base64.StdEncoding.EncodeToString(public), nil
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", errs.Newf(errs.Internal, "encoding a public key: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}

// PublicName is the name of a public key's group: "P-256", "rsa-2048", "ed25519".
func (t Type) PublicName() string {
	if curve := t.traits().curve; curve != nil {
		return curve.Params().Name
	}
	return t.String()
}

// SecretText returns the version's material as clients read it: symmetric keys,
// and the 64 bytes of Ed25519 (seed and public key), as base64; RSA as PEM of
// PKCS #1, ECDSA as PEM of SEC 1.
func (v *Version) SecretText() (string, error) {
	if v.kind.Symmetric() {
		return base64.StdEncoding.EncodeToString(v.material), nil
	}
	private, err := v.Private()
	if err != nil {
		return "", err
	}
	switch private := private.(type) {
	case ed25519.PrivateKey:
		return base64.StdEncoding.EncodeToString(private), nil
	case *rsa.PrivateKey:
		return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(private)})), nil
	case *ecdsa.PrivateKey:
		der, err := x509.MarshalECPrivateKey(private)
		if err != nil {
			return "", errs.Newf(errs.Internal, "encoding a private key: %w", err)
		}
		return string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})), nil
	}
	return "", errs.Newf(errs.Internal, "a private key of type %T has no text", private)
}

// Target returns the material in the form that an import takes: the bytes of a
// symmetric key, PKCS #8 of others.
func (v *Version) Target() ([]byte, error) {
	if v.publicOnly {
		return nil, errs.Newf(errs.Invalid, "version %d has only a public key", v.Number)
	}
	return v.material, nil
}
