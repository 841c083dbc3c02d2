package identity

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"

	"github.com/strongkeep/strongkeep/internal/draft"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/redact"
)

// KeySize is that of a cluster key, in bytes.
const KeySize = 32

const (
	certLife  = 30 * 24 * time.Hour
	certRenew = certLife / 3
	certBack  = certLife  // by how much the clocks of others may be behind: a beginning long ago gives nobody more
	certSlack = time.Hour // by how much this node's own may go back before there is a new one
	keepEvery = time.Minute
)

// authority is the CA that is made of the cluster key. Each node makes the same one: the
// key pair comes of HKDF-SHA-256 (RFC 5869), Ed25519 signs without randomness (RFC 8032),
// and the certificate has nothing in it that differs.
type authority struct {
	key  ed25519.PrivateKey
	cert *x509.Certificate
	pool *x509.CertPool
}

func newAuthority(key redact.Secret) (*authority, error) {
	secret := key.Reveal()
	if len(secret) != KeySize {
		return nil, errs.Newf(errs.Invalid, "the cluster key has %d bytes, not %d", len(secret), KeySize)
	}
	seed, err := hkdf.Key(sha256.New, secret, nil, "strongkeep cluster CA 1", ed25519.SeedSize)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making the CA of the cluster: %w", err)
	}
	defer clear(seed)
	a := &authority{key: ed25519.NewKeyFromSeed(seed), pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "strongkeep cluster"},
		NotBefore: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making the CA of the cluster: %w", err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, errs.Newf(errs.Internal, "making the CA of the cluster: %w", err)
	}
	a.pool.AddCert(a.cert)
	return a, nil
}

// issue makes a certificate for both ends of a connection, and its key, as PEM.
func (a *authority) issue(name, host string, now time.Time) ([]byte, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making a member's key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making a member's certificate: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-certBack), NotAfter: now.Add(certLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making a member's certificate: %w", err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, errs.Newf(errs.Internal, "making a member's key: %w", err)
	}
	defer clear(key)
	return append(block("CERTIFICATE", der), block("PRIVATE KEY", key)...), nil
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// Identity is this node's certificate. It lies in a file too, since etcd reads its own
// from there at every connection.
type Identity struct {
	*authority
	dir, name, host string
	now             func() time.Time
	current         atomic.Pointer[tls.Certificate]
}

// New makes a certificate for who is reached at host, below dir. With dir "" it lies in no file, which is for
// who asks others and is no member: Etcd cannot be used. Kind Invalid: the key has another length.
func New(key redact.Secret, dir, name, host string, now func() time.Time) (*Identity, error) {
	a, err := newAuthority(key)
	if err != nil {
		return nil, err
	}
	i := &Identity{authority: a, dir: dir, name: name, host: host, now: now}
	if dir == "" {
		return i, i.Renew()
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, errs.Newf(errs.Unavailable, "making the directory %s: %w", dir, err)
	}
	if err := draft.Write(i.caFile(), block("CERTIFICATE", a.cert.Raw), 0o600); err != nil {
		return nil, errs.Newf(errs.Unavailable, "writing the CA of the cluster: %w", err)
	}
	return i, i.Renew()
}

func (i *Identity) caFile() string   { return filepath.Join(i.dir, "ca.pem") }
func (i *Identity) pairFile() string { return filepath.Join(i.dir, "member.pem") }

// Keep renews the certificate in time until ctx ends, also while the node waits for others.
func (i *Identity) Keep(ctx context.Context, log *slog.Logger) {
	often := time.NewTicker(keepEvery)
	defer often.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-often.C:
		}
		if err := i.Renew(); err != nil {
			log.Error("renewing this member's certificate", "error", err)
		}
	}
}

// lasts reports whether a certificate is good for long enough, and was not made while the
// clock was ahead: others would not take one that begins in the future.
func (i *Identity) lasts(c *x509.Certificate) bool {
	left := c.NotAfter.Sub(i.now())
	return left > certRenew && left <= certLife+certSlack
}

// Renew makes a new certificate unless the one there is lasts. One goroutine calls it.
func (i *Identity) Renew() error {
	if c := i.current.Load(); c != nil && i.lasts(c.Leaf) {
		return nil
	}
	pair, err := i.issue(i.name, i.host, i.now())
	if err != nil {
		return err
	}
	defer clear(pair)
	c, err := tls.X509KeyPair(pair, bytes.Clone(pair))
	if err != nil {
		return errs.Newf(errs.Internal, "making a member's certificate: %w", err)
	}
	if i.dir != "" {
		if err := draft.Write(i.pairFile(), pair, 0o600); err != nil {
			return errs.Newf(errs.Unavailable, "writing the member's certificate: %w", err)
		}
	}
	i.current.Store(&c)
	return nil
}

// Server is for the port on which members meet. It speaks further protocols beside HTTP/1.1.
func (i *Identity) Server(further ...string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: i.pool, NextProtos: append(further, "http/1.1"),
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return i.current.Load(), nil },
		Time:           i.now,
	}
}

// Client is for asking other nodes.
func (i *Identity) Client() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, RootCAs: i.pool, Time: i.now,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return i.current.Load(), nil },
	}
}

// Etcd is for what etcd asks of other members.
func (i *Identity) Etcd() transport.TLSInfo {
	return transport.TLSInfo{
		CertFile: i.pairFile(), KeyFile: i.pairFile(), TrustedCAFile: i.caFile(), ClientCertAuth: true, MinVersion: tls.VersionTLS13,
	}
}
