package authority

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"strings"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/vault/engine"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/issuing"
	"github.com/strongkeep/strongkeep/internal/vault/engine/pki/keypair"
	"github.com/strongkeep/strongkeep/internal/vault/store"
)

const clusterKey = "config/cluster"

// Cluster is what URLs with {{cluster_path}} are filled in with.
type Cluster struct {
	Path    string `json:"path"`
	AIAPath string `json:"aia_path"`
}

func decodeCluster(value []byte) (*Cluster, error) {
	c := new(Cluster)
	if len(value) == 0 {
		return c, nil
	}
	if err := json.Unmarshal(value, c); err != nil {
		return nil, errs.New(errs.Internal, "decoding config/cluster: the stored record is damaged or of a newer format")
	}
	return c, nil
}

// LoadCluster returns config/cluster; shared.
func LoadCluster(ctx context.Context, tx engine.Tx) (*Cluster, error) {
	e, err := tx.Get(ctx, clusterKey)
	if err != nil {
		return nil, err
	}
	return store.Decode(e, decodeCluster)
}

// StoreCluster writes config/cluster.
func StoreCluster(tx engine.Tx, c *Cluster) error { return put(tx, clusterKey, c) }

// Signer is an issuer with all it takes to sign.
type Signer struct {
	Issuer *Issuer
	Key    *Key
	Chain  []*Issuer // the issuer, then those above
	URLs   *URLs     // filled in
}

// Open gathers what it takes to sign with the issuer that ref means, which must be
// allowed for usage.
func Open(ctx context.Context, tx engine.Tx, ref string, usage Usage) (*Signer, error) {
	i, err := Load(ctx, tx, ref)
	if err != nil {
		return nil, err
	}
	if usage == Issuing && i.RevokedAt != 0 {
		return nil, errs.Newf(errs.Invalid, "issuer %s is revoked: it issues nothing any more", i.ID)
	}
	if err := i.Check(usage); err != nil {
		return nil, err
	}
	return i.Signer(ctx, tx)
}

// Signer gathers what it takes to sign with this issuer.
func (i *Issuer) Signer(ctx context.Context, tx engine.Tx) (*Signer, error) {
	s := &Signer{Issuer: i}
	var err error
	if s.Key, err = i.KeyOf(ctx, tx); err != nil {
		return nil, err
	}
	if s.Chain, err = i.Above(ctx, tx); err != nil {
		return nil, err
	}
	s.URLs, err = i.urls(ctx, tx)
	return s, err
}

// urls are the issuer's own, or the mount's, with their templates filled in.
func (i *Issuer) urls(ctx context.Context, tx engine.Tx) (*URLs, error) {
	u := &i.URLs
	if u.none() {
		var err error
		if u, err = LoadURLs(ctx, tx); err != nil {
			return nil, err
		}
	}
	return u.Fill(ctx, tx, i.ID)
}

// Fill returns the URLs with {{issuer_id}}, {{cluster_path}} and
// {{cluster_aia_path}} filled in, if templating is on.
func (u *URLs) Fill(ctx context.Context, tx engine.Tx, issuerID string) (*URLs, error) {
	if !u.Templating {
		return u, nil
	}
	c, err := LoadCluster(ctx, tx)
	if err != nil {
		return nil, err
	}
	r := strings.NewReplacer("{{issuer_id}}", issuerID, "{{cluster_path}}", c.Path, "{{cluster_aia_path}}", c.AIAPath)
	fill := func(list []string) []string {
		var filled []string
		for _, text := range list {
			if strings.Contains(text, "{{cluster_path}}") && c.Path == "" || strings.Contains(text, "{{cluster_aia_path}}") && c.AIAPath == "" {
				err = errs.New(errs.Invalid, "the URLs of config/urls or the issuer name {{cluster_path}} or {{cluster_aia_path}}: set path and aia_path in config/cluster")
			}
			filled = append(filled, r.Replace(text))
		}
		return filled
	}
	filled := &URLs{Issuing: fill(u.Issuing), CRL: fill(u.CRL), DeltaCRL: fill(u.DeltaCRL), OCSP: fill(u.OCSP)}
	return filled, err
}

// CheckURLs returns Invalid unless all are absolute URLs; with templating they are
// checked as they would be filled in.
func CheckURLs(list []string, templating bool) error {
	for i, text := range list {
		if templating {
			text = strings.NewReplacer("{{issuer_id}}", "x", "{{cluster_path}}", "http://x", "{{cluster_aia_path}}", "http://x").Replace(text)
		}
		u, err := url.Parse(text)
		if err != nil || u.Scheme == "" || u.Host == "" && u.Opaque == "" && u.Scheme != "ldap" || strings.ContainsAny(text, " {}") {
			return errs.Newf(errs.Invalid, "URL %d of the list is invalid: it must be absolute, such as http://pki.example.com/ca.pem", i+1)
		}
	}
	return nil
}

// SignOptions are how to sign.
type SignOptions struct {
	Random        io.Reader
	SignatureBits int // of RSA's digest; 0 = 256
	PSS           bool
	NotAfter      string // NotAfterErr and so on; "" = the issuer's
}

// Issued is a signed certificate.
type Issued struct {
	DER       []byte
	Serial    *big.Int
	NotBefore time.Time
	NotAfter  time.Time
}

// Serial makes a serial number of 159 random bits, never 0: positive in 20 bytes,
// as RFC 5280 §4.1.2.2 wants it, and far over the 64 bits of the Baseline Requirements.
func Serial(random io.Reader) (*big.Int, error) {
	raw := make([]byte, 20)
	for range 4 {
		if _, err := io.ReadFull(random, raw); err != nil {
			return nil, errs.Newf(errs.Internal, "making a serial number: %w", err)
		}
		raw[0] &= 0x7f
		if n := new(big.Int).SetBytes(raw); n.BitLen() > 64 {
			return n, nil
		}
	}
	return nil, errs.New(errs.Internal, "making a serial number: the source of randomness is broken")
}

// Algorithm returns how a key signs. Kind Invalid: bits is no size of a digest.
func Algorithm(public crypto.PublicKey, bits int, pss bool) (x509.SignatureAlgorithm, error) {
	kind, size := keypair.Describe(public)
	switch kind {
	case keypair.Ed25519:
		return x509.PureEd25519, nil
	case keypair.EC: // the digest that goes with the curve (NIST SP 800-57)
		switch size {
		case 384:
			return x509.ECDSAWithSHA384, nil
		case 521:
			return x509.ECDSAWithSHA512, nil
		}
		return x509.ECDSAWithSHA256, nil
	}
	algorithms := map[int][2]x509.SignatureAlgorithm{
		0:   {x509.SHA256WithRSA, x509.SHA256WithRSAPSS},
		256: {x509.SHA256WithRSA, x509.SHA256WithRSAPSS},
		384: {x509.SHA384WithRSA, x509.SHA384WithRSAPSS},
		512: {x509.SHA512WithRSA, x509.SHA512WithRSAPSS},
	}
	of, ok := algorithms[bits]
	if !ok {
		return 0, errs.New(errs.Invalid, "signature_bits must be 256, 384 or 512")
	}
	if pss {
		return of[1], nil
	}
	return of[0], nil
}

// Sign completes the template and signs it for a public key.
func (s *Signer) Sign(t *x509.Certificate, public crypto.PublicKey, o *SignOptions) (*Issued, error) {
	if err := s.bound(t, o.NotAfter); err != nil {
		return nil, err
	}
	var err error
	if t.SerialNumber, err = Serial(o.Random); err != nil {
		return nil, err
	}
	if t.SubjectKeyId == nil {
		if t.SubjectKeyId, err = issuing.KeyID(public); err != nil {
			return nil, err
		}
	}
	t.AuthorityKeyId = s.Issuer.Certificate.SubjectKeyId
	t.IssuingCertificateURL, t.CRLDistributionPoints, t.OCSPServer = s.URLs.Issuing, s.URLs.CRL, s.URLs.OCSP
	if t.SignatureAlgorithm, err = Algorithm(s.Key.Signer.Public(), o.SignatureBits, o.PSS); err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(o.Random, t, s.Issuer.Certificate, public, s.Key.Signer)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "the certificate cannot be encoded: a name or number in it is out of bounds")
	}
	return &Issued{DER: der, Serial: t.SerialNumber, NotBefore: t.NotBefore, NotAfter: t.NotAfter}, nil
}

// bound holds a certificate against its issuer's end.
func (s *Signer) bound(t *x509.Certificate, behaviour string) error {
	end := s.Issuer.Certificate.NotAfter
	if behaviour == "" {
		behaviour = s.Issuer.NotAfter
	}
	if t.NotAfter.After(end) {
		switch behaviour {
		case NotAfterPermit:
		case NotAfterTruncate:
			t.NotAfter = end
		default:
			return errs.Newf(errs.Invalid, "cannot satisfy request, as TTL would result in notAfter of %s that is beyond the expiration of the CA certificate at %s", t.NotAfter.Format(time.RFC3339Nano), end.Format(time.RFC3339Nano))
		}
	}
	if !t.NotBefore.Before(t.NotAfter) {
		return errs.New(errs.Invalid, "the certificate would end before it begins: the issuer has expired, or the ttl is too short")
	}
	return nil
}

// HexSerial formats a serial number as Vault does: "1f:00:…".
func HexSerial(n *big.Int) string {
	raw := n.Bytes()
	if len(raw) == 0 {
		raw = []byte{0}
	}
	return strings.ReplaceAll(fmt.Sprintf("% x", raw), " ", ":")
}
