package issuing

import (
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
)

// A role's not_after bounds what a ttl reaches, too.
func TestTTLWithinTheRolesNotAfter(t *testing.T) {
	r := &Role{NotAfter: "2026-03-04T06:06:07Z"} // an hour ahead
	if _, _, err := r.Template(&Input{TTL: 90 * time.Hour}, limits()); !errs.Is(err, errs.Invalid) {
		t.Errorf("%v", err)
	}
	c, _, err := r.Template(&Input{TTL: time.Minute}, limits())
	if err != nil || !c.NotAfter.Equal(now.Add(time.Minute)) {
		t.Errorf("%v, %v", c, err)
	}
}

func TestNotAfterInUTC(t *testing.T) {
	if _, err := ParseNotAfter("9999-12-31T23:59:59-12:00", now); !errs.Is(err, errs.Invalid) {
		t.Errorf("the year 10000 was taken: %v", err)
	}
	if _, err := ParseNotAfter("9999-12-31T23:59:59Z", now); err != nil {
		t.Error(err)
	}
}

// An IP address is no DNS name: what allow_ip_sans forbids must not come in as one.
func TestNoAddressAmongDNSNames(t *testing.T) {
	r := &Role{AllowAnyName: true, EnforceHostnames: true}
	for _, text := range []string{"192.0.2.1", "192.0.2.1."} {
		if _, _, err := r.Template(&Input{AltNames: []string{text}}, limits()); !errs.Is(err, errs.Invalid) {
			t.Errorf("alt_names %s: %v", text, err)
		}
		csr := &Role{AllowAnyName: true, UseCSRSANs: true}
		if _, _, err := csr.Template(&Input{CSR: &x509.CertificateRequest{DNSNames: []string{text}}}, limits()); !errs.Is(err, errs.Invalid) {
			t.Errorf("CSR %s: %v", text, err)
		}
		c, _, err := r.Template(&Input{CommonName: text}, limits())
		if err != nil || len(c.DNSNames) != 0 || c.Subject.CommonName == "" {
			t.Errorf("common name %s: %v %v", text, c, err)
		}
	}
}

// An rfc822Name is ASCII, also in an extension that is encoded here.
func TestNonASCIIEmail(t *testing.T) {
	r := &Role{AllowAnyName: true, AllowedOtherSANs: []string{"*"}}
	for _, in := range []*Input{
		{AltNames: []string{"bücher@example.com"}}, {CommonName: "bücher@example.com"},
		{AltNames: []string{"bücher@example.com"}, OtherSANs: []string{"1.2.3.4;UTF8:x"}},
	} {
		if _, _, err := r.Template(in, limits()); !errs.Is(err, errs.Invalid) {
			t.Errorf("%+v: %v", in, err)
		}
	}
	c, _, err := r.Template(&Input{AltNames: []string{"me@bücher.example"}}, limits())
	if err != nil || len(c.EmailAddresses) != 1 || c.EmailAddresses[0] != "me@xn--bcher-kva.example" {
		t.Errorf("%v %v", c, err)
	}
}

// The URI that is judged is the one in the certificate.
func TestURIAsItIsWritten(t *testing.T) {
	in := &Input{URISANs: []string{"SPIFFE://example.org/a"}}
	r := &Role{AllowedURISANs: []string{"SPIFFE://example.org/*"}}
	if c, _, err := r.Template(in, limits()); !errs.Is(err, errs.Invalid) {
		t.Errorf("a URI went in that the role does not allow: %v, %v", c.URIs, err)
	}
	r.AllowedURISANs = append(r.AllowedURISANs, "spiffe://example.org/*")
	if _, _, err := r.Template(in, limits()); err != nil {
		t.Error(err)
	}
}

// OpenSSL takes a certificate with keyCertSign and no basic constraints for a CA's.
func TestCertSignWithoutBeingACA(t *testing.T) {
	for usage, constrained := range map[string]bool{"CertSign": true, "DigitalSignature": false} {
		r := &Role{KeyUsage: []string{usage}}
		c, _, err := r.Template(&Input{}, limits())
		if err != nil || c.IsCA || c.BasicConstraintsValid != constrained {
			t.Errorf("%s: %+v, %v", usage, c, err)
		}
	}
}

// A key of a million bits is refused before its signature is looked at.
func TestHugeKeyInCSR(t *testing.T) {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{}, key)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 1<<20), big.NewInt(1)), E: 1<<31 - 1})
	if err != nil {
		t.Fatal(err)
	}
	type info struct {
		Version    int
		Subject    asn1.RawValue
		PublicKey  asn1.RawValue
		Attributes asn1.RawValue
	}
	var csr struct {
		Info      info
		Algorithm struct {
			OID    asn1.ObjectIdentifier
			Params asn1.RawValue `asn1:"optional"`
		}
		Signature asn1.BitString
	}
	if _, err := asn1.Unmarshal(der, &csr); err != nil {
		t.Fatal(err)
	}
	csr.Info.PublicKey = asn1.RawValue{FullBytes: spki}
	csr.Algorithm.OID = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 11}
	csr.Algorithm.Params = asn1.NullRawValue
	if der, err = asn1.Marshal(csr); err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	if _, err := ParseCSR(text); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "16384 bits") {
		t.Errorf("%v", err)
	}
}
