package template

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"

	"software.sslmate.com/src/go-pkcs12"
)

// archive accepts a PKCS#12 archive as it is, or in base64.
func archive(text string) []byte {
	if raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text)); err == nil {
		return raw
	}
	return []byte(text)
}

// pkcs12Keys returns every private key of an archive as PKCS#8 PEM.
func pkcs12Keys(password, text string) (string, error) {
	blocks, err := pkcs12.ToPEM(archive(text), password)
	if err != nil {
		key, _, _, chainErr := pkcs12.DecodeChain(archive(text), password)
		if chainErr != nil {
			return "", fail("this is not a PKCS#12 archive, or the password is wrong")
		}
		return keyPEM(key)
	}
	var out strings.Builder
	for _, b := range blocks {
		if b.Type == typeCertificate {
			continue
		}
		key, err := parseKey(b.Bytes)
		if err != nil {
			return "", err
		}
		text, err := keyPEM(key)
		if err != nil {
			return "", err
		}
		out.WriteString(text)
	}
	return out.String(), nil
}

// pkcs12Certificates returns every certificate of an archive, leaf first where
// they form a chain.
func pkcs12Certificates(password, text string) (string, error) {
	_, leaf, others, err := pkcs12.DecodeChain(archive(text), password)
	if err == nil {
		return certificatesPEM(inOrder(append([]*x509.Certificate{leaf}, others...))), nil
	}
	certs, err := pkcs12.DecodeTrustStore(archive(text), password)
	if err != nil {
		return "", fail("this is not a PKCS#12 archive, or the password is wrong")
	}
	return certificatesPEM(inOrder(certs)), nil
}

// toPKCS12 returns an archive in base64. Without chain only the first
// certificate goes in.
func toPKCS12(certText, keyText, password string, chain bool) (string, error) {
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

func trustStore(text, password string) (string, error) {
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
