package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// lifetime is longer than any development cluster runs.
const lifetime = 30 * 24 * time.Hour

// Pair is a certificate and its private key as PEM files. The key is SEC 1
// ("EC PRIVATE KEY"), which every Kubernetes flag accepts.
type Pair struct {
	Cert string
	Key  string
}

// Authority signs certificates. It is safe for concurrent use.
type Authority struct {
	Pair
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	now  time.Time
}

// Request describes a certificate good for both ends of a connection.
type Request struct {
	Name       string   // base name of the files
	CommonName string   // the user of Kubernetes
	Groups     []string // of Kubernetes, which reads the organisation as such
	Hosts      []string // addresses and DNS names it serves
}

// New makes an authority whose files are dir/ca.crt and dir/ca.key.
func New(dir string, now time.Time) (*Authority, error) {
	a := &Authority{Pair: pairAt(dir, "ca"), dir: dir, now: now}
	template, err := a.template(Request{CommonName: "strongkeep development cluster"})
	if err != nil {
		return nil, err
	}
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign | x509.KeyUsageDigitalSignature
	template.ExtKeyUsage = nil
	a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generating authority key: %w", err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("signing authority: %w", err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, fmt.Errorf("parsing authority: %w", err)
	}
	return a, a.write(a.Pair, der, a.key)
}

// Issue signs a certificate and writes it with its key.
func (a *Authority) Issue(r Request) (Pair, error) {
	template, err := a.template(r)
	if err != nil {
		return Pair{}, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Pair{}, fmt.Errorf("generating key of %q: %w", r.Name, err)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return Pair{}, fmt.Errorf("signing %q: %w", r.Name, err)
	}
	pair := pairAt(a.dir, r.Name)
	return pair, a.write(pair, der, key)
}

func (a *Authority) template(r Request) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("drawing serial number: %w", err)
	}
	c := &x509.Certificate{
		SerialNumber: serial,
		Subject: pkix.Name{
			CommonName:   r.CommonName,
			Organization: r.Groups,
		},
		NotBefore:   a.now.Add(-time.Minute),
		NotAfter:    a.now.Add(lifetime),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, h := range r.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	return c, nil
}

func (a *Authority) write(p Pair, der []byte, key *ecdsa.PrivateKey) error {
	sec1, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encoding key: %w", err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(p.Cert, cert, 0o644); err != nil {
		return fmt.Errorf("writing certificate: %w", err)
	}
	pemKey := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1})
	if err := os.WriteFile(p.Key, pemKey, 0o600); err != nil {
		return fmt.Errorf("writing key: %w", err)
	}
	return nil
}

func pairAt(dir, name string) Pair {
	return Pair{
		Cert: filepath.Join(dir, name+".crt"),
		Key:  filepath.Join(dir, name+".key"),
	}
}
