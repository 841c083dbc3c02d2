package certificate

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // RSA-OAEP with SHA-1 is what old systems encrypt with; it is not a signature
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"hash"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Error is what was wrong, in words that name no values.
type Error string

func (e Error) Error() string { return string(e) }

func fail(text string) error { return Error(text) }

const (
	typeCertificate = "CERTIFICATE"
	typePrivateKey  = "PRIVATE KEY"
)

// longestKeyDER is how long a private key may be: 8192 bits of RSA. The time that
// reading and using one takes grows with the third power.
const longestKeyDER = 5 << 10

// parseKey reads PKCS#8, PKCS#1 and SEC 1.
func parseKey(der []byte) (any, error) {
	if len(der) > longestKeyDER {
		return nil, fail("the private key is too long: the limit is RSA of 8192 bits")
	}
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	return nil, fail("the private key is neither PKCS#8 nor PKCS#1 nor SEC 1, or it is encrypted")
}

func keyPEM(key any) (string, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", fail("this kind of private key cannot be written as PKCS#8")
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: typePrivateKey, Bytes: der})), nil
}

// parseCertificates returns the certificates of a PEM text; none is an error.
func parseCertificates(text string) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != typeCertificate {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fail("a certificate in the PEM text cannot be read")
		}
		out = append(out, cert)
	}
	if len(out) == 0 {
		return nil, fail("there is no certificate in the PEM text")
	}
	return out, nil
}

func certificatesPEM(certs []*x509.Certificate) string {
	var out strings.Builder
	for _, c := range certs {
		out.Write(pem.EncodeToMemory(&pem.Block{Type: typeCertificate, Bytes: c.Raw}))
	}
	return out.String()
}

// inOrder puts a chain leaf first. What is not one chain stays as it is.
func inOrder(certs []*x509.Certificate) []*x509.Certificate {
	leaf := onlyLeaf(certs)
	if leaf == nil {
		return certs
	}
	out := []*x509.Certificate{leaf}
	for len(out) < len(certs) {
		last := out[len(out)-1]
		next := slices.IndexFunc(certs, func(c *x509.Certificate) bool { return issues(c, last) })
		if next < 0 {
			return certs
		}
		out = append(out, certs[next])
	}
	return out
}

// issues reports whether a's subject issued b, other than itself.
func issues(a, b *x509.Certificate) bool {
	return a != b && bytes.Equal(a.RawSubject, b.RawIssuer) && !bytes.Equal(b.RawSubject, b.RawIssuer)
}

// onlyLeaf returns the one certificate that issued none of the others, or nil.
func onlyLeaf(certs []*x509.Certificate) *x509.Certificate {
	var leaf *x509.Certificate
	for _, c := range certs {
		if slices.ContainsFunc(certs, func(other *x509.Certificate) bool { return issues(c, other) }) {
			continue
		}
		if leaf != nil {
			return nil
		}
		leaf = c
	}
	return leaf
}

// FilterPEM returns the blocks of one type, in order. Letters' case does not count.
func FilterPEM(blockType, text string) (string, error) {
	var out strings.Builder
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if len(bytes.TrimSpace(rest)) > 0 {
				return "", fail("filterPEM: there is something in the text that is not PEM")
			}
			return out.String(), nil
		}
		if strings.EqualFold(block.Type, blockType) {
			out.Write(pem.EncodeToMemory(block))
		}
	}
}

// FilterChain returns the certificates of a chain that are "leaf",
// "intermediate" or "root".
func FilterChain(which, text string) (string, error) {
	certs, err := parseCertificates(text)
	if err != nil {
		return "", err
	}
	role := func(c *x509.Certificate) string {
		switch {
		case !c.IsCA:
			return "leaf"
		case bytes.Equal(c.RawSubject, c.RawIssuer):
			return "root"
		}
		return "intermediate"
	}
	var out []*x509.Certificate
	switch which {
	case "leaf", "intermediate", "root":
	default:
		return "", fail(`filterCertChain: the first argument must be "leaf", "intermediate" or "root"`)
	}
	for _, c := range certs {
		if role(c) == which {
			out = append(out, c)
		}
	}
	return certificatesPEM(out), nil
}

// SANs returns the subject alternative names of the first certificate: DNS
// names, addresses, e-mail addresses, URIs.
func SANs(text string) ([]string, error) {
	certs, err := parseCertificates(text)
	if err != nil {
		return nil, err
	}
	c := certs[0]
	out := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		out = append(out, ip.String())
	}
	out = append(out, c.EmailAddresses...)
	for _, u := range c.URIs {
		out = append(out, u.String())
	}
	return out, nil
}

// longestNumber is how long a number of a JSON Web Key may be: 8192 bits in
// base64, rounded up.
const longestNumber = 1500

func jwk(text string) (*jose.JSONWebKey, error) {
	var members map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &members) != nil {
		return nil, fail("this is not a JSON Web Key")
	}
	for name, m := range members {
		if len(m) > longestNumber && name != "x5c" {
			return nil, fail("the JSON Web Key is too long: the limit is RSA of 8192 bits")
		}
	}
	var k jose.JSONWebKey
	if k.UnmarshalJSON([]byte(text)) != nil {
		return nil, fail("this is not a JSON Web Key")
	}
	return &k, nil
}

// JWKPublicKey returns the public key of a JSON Web Key as PKIX PEM.
func JWKPublicKey(text string) (string, error) {
	k, err := jwk(text)
	if err != nil {
		return "", err
	}
	der, err := x509.MarshalPKIXPublicKey(k.Public().Key)
	if err != nil {
		return "", fail("this JSON Web Key has no public key that can be written as PKIX")
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), nil
}

// JWKPrivateKey returns the private key of a JSON Web Key as PKCS#8 PEM.
func JWKPrivateKey(text string) (string, error) {
	k, err := jwk(text)
	if err != nil {
		return "", err
	}
	switch key := k.Key.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey:
		return keyPEM(key)
	case crypto.Signer:
		return keyPEM(key)
	}
	return "", fail("this JSON Web Key has no private key")
}

// RSADecrypt decrypts what was encrypted with the public part of a PEM key.
// scheme is "RSA-OAEP", or "None" for what is not encrypted. hashName is "SHA1",
// "SHA256", "SHA384" or "SHA512", and "" is "SHA256".
func RSADecrypt(scheme, hashName, ciphertext, keyText string) (string, error) {
	if scheme == "None" {
		return ciphertext, nil
	}
	block, _ := pem.Decode([]byte(keyText))
	if block == nil {
		return "", fail("rsaDecrypt: the private key is not PEM")
	}
	parsed, err := parseKey(block.Bytes)
	if err != nil {
		return "", err
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return "", fail("rsaDecrypt: the private key is not RSA")
	}
	if scheme != "RSA-OAEP" {
		return "", fail(`rsaDecrypt: the scheme must be "RSA-OAEP" or "None"`)
	}
	h, ok := map[string]func() hash.Hash{"": sha256.New, "SHA1": sha1.New, "SHA256": sha256.New, "SHA384": sha512.New384, "SHA512": sha512.New}[hashName]
	if !ok {
		return "", fail(`rsaDecrypt: the hash must be "SHA1", "SHA256", "SHA384" or "SHA512"`)
	}
	out, err := rsa.DecryptOAEP(h(), nil, key, []byte(ciphertext), nil)
	if err != nil {
		return "", fail("rsaDecrypt: this cannot be decrypted with this key")
	}
	return string(out), nil
}
