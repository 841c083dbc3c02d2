package keypair

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// Marshal returns PKCS #8, as keys are stored.
func Marshal(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return der, errs.As(errs.Internal, err)
}

// Encode returns a private key for a client: PEM, or base64 of DER if der; in
// PKCS #8 if pkcs8, otherwise in the older form of its type (PKCS #1, SEC 1).
func Encode(key crypto.Signer, der, pkcs8 bool) (string, error) {
	block, err := encode(key, pkcs8)
	if err != nil {
		return "", errs.Newf(errs.Internal, "encoding a private key: %w", err)
	}
	if der {
		return base64.StdEncoding.EncodeToString(block.Bytes), nil
	}
	return PEM(block.Type, block.Bytes), nil
}

func encode(key crypto.Signer, pkcs8 bool) (*pem.Block, error) {
	if !pkcs8 {
		switch k := key.(type) {
		case *rsa.PrivateKey:
			return &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(k)}, nil
		case *ecdsa.PrivateKey:
			der, err := x509.MarshalECPrivateKey(k)
			return &pem.Block{Type: "EC PRIVATE KEY", Bytes: der}, err
		}
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return &pem.Block{Type: "PRIVATE KEY", Bytes: der}, err
}

// PEM returns one block without the line break at its end, as Vault does.
func PEM(kind string, der []byte) string {
	text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	return string(text[:len(text)-1])
}

// ParseDER reads a private key in PKCS #8, PKCS #1 or SEC 1. Kind Invalid.
func ParseDER(der []byte) (crypto.Signer, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		if signer, ok := key.(crypto.Signer); ok {
			return signer, nil
		}
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	return nil, errs.New(errs.Invalid, "the private key is none of PKCS #8, PKCS #1 and SEC 1")
}

// Bundle is what a text in PEM holds.
type Bundle struct {
	Certificates []*x509.Certificate
	Keys         []crypto.Signer
}

// MaxBlocks bounds the blocks of a Bundle.
const MaxBlocks = 64

// maxKeyDER bounds a private key before its numbers are reckoned with: RSA of 16384
// bits takes under 10 KiB.
const maxKeyDER = 16 << 10

// ParseBundle reads certificates and private keys in any order. Kind Invalid: what
// is neither, what cannot be read, too many, or weak keys. It never quotes text.
func ParseBundle(text string) (*Bundle, error) {
	b := new(Bundle)
	rest := []byte(text)
	for n := 0; ; n++ {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if n == MaxBlocks {
			return nil, errs.Newf(errs.Invalid, "the PEM bundle has more than %d blocks: import them in parts", MaxBlocks)
		}
		if err := b.add(block, n+1); err != nil {
			return nil, err
		}
	}
	if len(b.Certificates)+len(b.Keys) == 0 {
		return nil, errs.New(errs.Invalid, "'pem_bundle' did not contain any PEM blocks: send certificates and keys in PEM")
	}
	return b, nil
}

func (b *Bundle) add(block *pem.Block, n int) error {
	switch block.Type {
	case "CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE":
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return errs.Newf(errs.Invalid, "block %d of the PEM bundle is not a certificate that can be read", n)
		}
		b.Certificates = append(b.Certificates, cert)
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY":
		if len(block.Bytes) > maxKeyDER {
			return errs.Newf(errs.Invalid, "block %d of the PEM bundle: the private key has more than %d bytes", n, maxKeyDER)
		}
		key, err := ParseDER(block.Bytes)
		if err != nil {
			return errs.Newf(errs.Invalid, "block %d of the PEM bundle: %w", n, err)
		}
		if err := CheckPublic(key.Public(), Any, 0); err != nil {
			return errs.Newf(errs.Invalid, "block %d of the PEM bundle: %w", n, err)
		}
		b.Keys = append(b.Keys, key)
	case "EC PARAMETERS": // openssl ecparam writes them before the key, which names its curve itself
	default:
		return errs.Newf(errs.Invalid, "block %d of the PEM bundle is neither a certificate nor an unencrypted private key", n)
	}
	return nil
}
