package certificate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"strconv"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// Authority is a CA for the clients of several servers, of which each makes the same one.
type Authority struct{ pair tls.Certificate }

// sharedName begins the name of every Authority; that of a CA of one server is another.
const sharedName = "Strongkeep servers "

// NewAuthority makes the CA of a key that all servers have and nobody else, of 32 bytes or more: the key pair
// (P-256) comes of HKDF-SHA-256 (RFC 5869), and the certificate, signed without randomness (RFC 6979), has
// nothing in it that differs between servers, so that it is the same to the bit. It does not end.
func NewAuthority(secret redact.Secret) (*Authority, error) {
	key, err := derive(secret)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making the CA that servers share: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making the CA that servers share: %w", err)
	}
	id := sha256.Sum256(public)
	template := &x509.Certificate{
		// Of the key, so that no two CAs have one name or number.
		SerialNumber: new(big.Int).SetBytes(append([]byte{1}, id[:15]...)),
		Subject:      pkix.Name{CommonName: sharedName + hex.EncodeToString(id[:4]), Organization: []string{"Strongkeep"}},
		SubjectKeyId: id[:20],
		NotBefore:    time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(nil, template, template, key.Public(), key)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making the CA that servers share: %w", err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "reading back the CA that servers share: %w", err)
	}
	return &Authority{tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: parsed}}, nil
}

func derive(secret redact.Secret) (*ecdsa.PrivateKey, error) {
	for n := range 4 { // one of 2^32 is no number below the order of the curve
		scalar, err := hkdf.Key(sha256.New, secret.Reveal(), nil, "strongkeep CA of servers for clients "+strconv.Itoa(n), 32)
		if err != nil {
			return nil, err
		}
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
		clear(scalar)
		if err == nil {
			return key, nil
		}
	}
	return nil, errors.New("no key comes of it")
}

// write has file hold the CA, where raw is. A shared one of before is replaced: it came of a key that is not
// the servers' any more.
func (a *Authority) write(file string, raw []byte) error {
	text := pemBlock("CERTIFICATE", a.pair.Certificate[0])
	if bytes.Equal(raw, text) {
		return nil
	}
	return writeFile(file, text, 0o644)
}

// shared reports whether raw is the certificate of an Authority.
func shared(raw []byte) bool {
	block, _ := pem.Decode(raw)
	if block == nil {
		return false
	}
	c, err := x509.ParseCertificate(block.Bytes)
	return err == nil && strings.HasPrefix(c.Subject.CommonName, sharedName)
}
