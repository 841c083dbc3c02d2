package certificate

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// Reader reads PKCS#12 archives, whose passwords are hashed as often as they ask
// for.
type Reader struct {
	// Spend is called before, with a unit for each 250,000 rounds. Its error
	// refuses the archive.
	Spend func(units int) error
}

// archive accepts a PKCS#12 archive as it is, or in base64.
func archive(text string) []byte {
	if raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text)); err == nil {
		return raw
	}
	return []byte(text)
}

// Key returns the private key of an archive as PKCS#8 PEM.
func (r Reader) Key(password, text string) (string, error) {
	raw, err := r.vetted(archive(text), password)
	if err != nil {
		return "", err
	}
	key, _, _, err := pkcs12.DecodeChain(raw, password)
	if err != nil {
		return "", fail("this is not a PKCS#12 archive of one key and its certificates, or the password is wrong")
	}
	return keyPEM(key)
}

// Certificates returns every certificate of an archive, leaf first where
// they form a chain.
func (r Reader) Certificates(password, text string) (string, error) {
	raw, err := r.vetted(archive(text), password)
	if err != nil {
		return "", err
	}
	_, leaf, others, err := pkcs12.DecodeChain(raw, password)
	if err == nil {
		return certificatesPEM(inOrder(append([]*x509.Certificate{leaf}, others...))), nil
	}
	certs, err := pkcs12.DecodeTrustStore(raw, password)
	if err != nil {
		return "", errNotArchive()
	}
	return certificatesPEM(inOrder(certs)), nil
}

// ToPKCS12 returns an archive in base64. Without chain only the first
// certificate goes in.
func ToPKCS12(certText, keyText, password string, chain bool) (string, error) {
	certs, err := parseCertificates(certText)
	if err != nil {
		return "", err
	}
	block, _ := pem.Decode([]byte(keyText))
	if block == nil {
		return "", fail("the private key is not PEM")
	}
	key, err := parseKey(block.Bytes)
	if err != nil {
		return "", err
	}
	var others []*x509.Certificate
	if chain {
		others = certs[1:]
	}
	out, err := pkcs12.Modern.Encode(key, certs[0], others, password)
	if err != nil {
		return "", fail("this key and certificate cannot be put into a PKCS#12 archive")
	}
	return base64.StdEncoding.EncodeToString(out), nil
}

// ToTrustStore returns an archive of certificates in base64.
func ToTrustStore(text, password string) (string, error) {
	certs, err := parseCertificates(text)
	if err != nil {
		return "", err
	}
	out, err := pkcs12.Modern.EncodeTrustStore(certs, password)
	if err != nil {
		return "", fail("these certificates cannot be put into a PKCS#12 archive")
	}
	return base64.StdEncoding.EncodeToString(out), nil
}
