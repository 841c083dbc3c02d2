package certificate

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/strongkeep/strongkeep/internal/draft"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// Lifetimes of what the server issues to itself. The leaf is renewed when a
// third of its life is left, at a handshake, without a restart.
const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 90 * 24 * time.Hour
)

// Issuer gives the server a certificate from a CA of its own, made at the
// first start and kept in Dir: ca.pem (give this to clients as VAULT_CACERT)
// and ca-key.pem (0600, never leaves the machine). Or from one that it shares
// with other servers: then there is ca.pem only, the same in each.
type Issuer struct {
	Dir    string
	Names  []string // DNS names and IP addresses the certificate is for
	Now    func() time.Time
	Log    *slog.Logger
	Shared *Authority // unless Dir has a CA of its own already; nil = there is none

	mu    sync.Mutex
	leaf  *tls.Certificate
	pause time.Time // until when a renewal that failed is not tried again
}

// renewalPause is how long a failed renewal rests: handshakes may be many.
const renewalPause = time.Minute

// CAFile is where clients find the CA certificate below the data directory.
func (s *Issuer) CAFile() string { return filepath.Join(s.Dir, "ca.pem") }

// Open makes or loads the CA and issues a first certificate.
func (s *Issuer) Open() error {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return errs.Newf(errs.Unavailable, "making the TLS directory: %w", err)
	}
	raw, err := os.ReadFile(s.CAFile())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return errs.Newf(errs.Unavailable, "reading the server's CA: %w", err)
	}
	own := err == nil && !shared(raw)
	switch {
	case own && s.Shared != nil:
		s.Log.Warn("this server keeps the CA that it has and does not take the one that it could share: clients need both; remove ca.pem and ca-key.pem for the other", "dir", s.Dir)
		s.Shared = nil
	case own:
	case s.Shared != nil:
		err = s.Shared.write(s.CAFile(), raw)
	default: // none, or a shared one of another storage, whose key is not here
		err = s.makeCA()
	}
	if err == nil {
		_, err = s.Certificate(nil)
	}
	return err
}

func (s *Issuer) makeCA() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return errs.Newf(errs.Internal, "making the CA's key: %w", err)
	}
	template := s.template("Strongkeep server CA", caLife)
	template.IsCA, template.BasicConstraintsValid = true, true
	template.MaxPathLenZero = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return errs.Newf(errs.Internal, "making the CA's certificate: %w", err)
	}
	// The key first: a crash between the two leaves no certificate, and the next start makes both anew.
	if err := writeKey(filepath.Join(s.Dir, "ca-key.pem"), key); err != nil {
		return err
	}
	return writeFile(s.CAFile(), pemBlock("CERTIFICATE", der), 0o644)
}

func (s *Issuer) template(name string, life time.Duration) *x509.Certificate {
	serial := make([]byte, 16)
	_, _ = rand.Read(serial) // never fails (crypto/rand since Go 1.24)
	serial[0] &= 0x7f
	now := s.Now()
	return &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial),
		Subject:      pkix.Name{CommonName: name, Organization: []string{"Strongkeep"}},
		NotBefore:    now.Add(-time.Minute), NotAfter: now.Add(life),
	}
}

// Certificate is a tls.Config.GetCertificate. A leaf that cannot be renewed, for
// want of the CA's key, say, serves until it ends.
func (s *Issuer) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, left := s.Now(), time.Duration(0)
	if s.leaf != nil {
		left = s.leaf.Leaf.NotAfter.Sub(now)
	}
	if left > leafLife/3 || left > 0 && now.Before(s.pause) {
		return s.leaf, nil
	}
	leaf, err := s.issue()
	switch {
	case err == nil:
		s.leaf = leaf
	case left > 0:
		s.pause = now.Add(renewalPause)
		s.Log.Error("renewing the server's certificate", "ends", s.leaf.Leaf.NotAfter, "error", err)
	default:
		return nil, err
	}
	return s.leaf, nil
}

func (s *Issuer) issue() (*tls.Certificate, error) {
	pair, err := s.authority()
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making the server's key: %w", err)
	}
	template := s.template("strongkeep", leafLife)
	if template.NotAfter.After(pair.Leaf.NotAfter) {
		template.NotAfter = pair.Leaf.NotAfter
	}
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range s.Names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, pair.Leaf, key.Public(), pair.PrivateKey)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making the server's certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "reading back the server's certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der, pair.Certificate[0]}, PrivateKey: key, Leaf: leaf}, nil
}

func (s *Issuer) authority() (tls.Certificate, error) {
	if s.Shared != nil {
		return s.Shared.pair, nil
	}
	pair, err := tls.LoadX509KeyPair(s.CAFile(), filepath.Join(s.Dir, "ca-key.pem"))
	if err != nil {
		return pair, errs.Newf(errs.Unavailable, "loading the server's CA from %s (remove ca.pem and ca-key.pem there to make a new one): %w", s.Dir, err)
	}
	return pair, nil
}

// Names are the names a self-issued certificate is for: loopback, the
// host, the address listened on, and what the configuration adds.
func Names(listen string, extra []string) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if host, err := os.Hostname(); err == nil {
		names = append(names, host)
	}
	if host, _, err := net.SplitHostPort(listen); err == nil {
		if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
			names = append(names, host)
		}
	}
	names = append(names, extra...)
	slices.Sort(names)
	return slices.Compact(names)
}

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func writeKey(path string, key crypto.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return errs.Newf(errs.Internal, "encoding a private key: %w", err)
	}
	return writeFile(path, pemBlock("PRIVATE KEY", der), 0o600)
}

// writeFile replaces a file in one step and makes it durable.
func writeFile(path string, content []byte, mode fs.FileMode) error {
	if err := draft.Write(path, content, mode); err != nil {
		return errs.Newf(errs.Unavailable, "writing %s: %w", path, err)
	}
	return nil
}
