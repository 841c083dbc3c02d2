package transit

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// material is a key as it is imported: one of the two.
type material struct {
	private []byte // the bytes of a symmetric key, PKCS #8 of any other
	public  string // PEM
}

// parseKey reads a key: PEM (PKCS #8, PKCS #1, SEC 1, or a public key), else
// base64 of a symmetric key or of PKCS #8. Errors do not quote it.
func parseKey(content string) (material, error) {
	if strings.Contains(content, "-----BEGIN ") {
		return parsePEM(content)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(content), ""))
	if err != nil || len(raw) == 0 {
		return material{}, errs.New(errs.Invalid, "the key is neither PEM nor base64: encode the bytes of a symmetric key with: base64 -w0 FILE")
	}
	return material{private: raw}, nil
}

func parsePEM(content string) (material, error) {
	for rest := []byte(content); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return material{}, errs.New(errs.Invalid, "the PEM holds no key")
		}
		switch block.Type {
		case "PRIVATE KEY":
			if _, err := x509.ParsePKCS8PrivateKey(block.Bytes); err != nil {
				return material{}, errs.New(errs.Invalid, "the PEM block PRIVATE KEY is not PKCS #8")
			}
			return material{private: block.Bytes}, nil
		case "RSA PRIVATE KEY":
			k, err := x509.ParsePKCS1PrivateKey(block.Bytes)
			return asPKCS8(k, err)
		case "EC PRIVATE KEY":
			k, err := x509.ParseECPrivateKey(block.Bytes)
			return asPKCS8(k, err)
		case "ENCRYPTED PRIVATE KEY":
			return material{}, errs.New(errs.Invalid, "the private key is encrypted: decrypt it first, for example with: openssl pkcs8 -in FILE")
		case "PUBLIC KEY":
			return material{public: string(pem.EncodeToMemory(block))}, nil
		}
	}
}

func asPKCS8(key any, err error) (material, error) {
	if err != nil {
		return material{}, errs.New(errs.Invalid, "the PEM block holds no private key of its kind")
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return material{}, errs.Newf(errs.Invalid, "encoding the key as PKCS #8: %w", err)
	}
	return material{private: der}, nil
}

// parseWrapper reads a mount's wrapping key.
func parseWrapper(text string) (*rsa.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errs.New(errs.Invalid, "the wrapping key that the server answered is not PEM: is the mount of type transit?")
	}
	k, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "reading the server's wrapping key: %w", err)
	}
	public, ok := k.(*rsa.PublicKey)
	if !ok || public.Size() < 256 {
		return nil, errs.New(errs.Invalid, "the server's wrapping key is not RSA of at least 2048 bits")
	}
	return public, nil
}

// place is a mount and a key in it.
type place struct{ mount, key string }

// parsePlace reads MOUNT/keys/NAME, MOUNT/NAME, or NAME in the mount.
func parsePlace(arg, mount string) (place, error) {
	arg = strings.TrimPrefix(arg, "/")
	if !strings.Contains(arg, "/") {
		arg = strings.Trim(mount, "/") + "/" + arg
	}
	at := strings.LastIndexByte(arg, '/')
	p := place{strings.TrimSuffix(arg[:at], "/keys"), arg[at+1:]}
	if p.mount == "" || p.key == "" {
		return p, errs.Newf(errs.Invalid, "%q names no key: the form is MOUNT/keys/NAME, MOUNT/NAME or NAME", arg)
	}
	return p, nil
}

func (p place) path(operation string) string { return p.mount + "/" + operation + "/" + p.key }
