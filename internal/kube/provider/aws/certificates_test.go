package aws_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/youmark/pkcs8"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/awstest"
)

const certificateARN = "arn:aws:acm:eu-central-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"

// issue makes a certificate of its own authority, without the last line's end, as AWS may.
func issue(t *testing.T, name string, key crypto.Signer) string {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour).Truncate(time.Second),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
}

// A certificate comes with its key, in the shape of kubernetes.io/tls; it is exported once
// until it is renewed.
func TestCertificates(t *testing.T) {
	w := newWorld(t)
	one, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	two, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	leaf, chain := issue(t, "shop.example", one), issue(t, "authority", one)
	w.server.PutCertificate(certificateARN, leaf, chain, one)
	st := w.Open(settings(aws.CertificateManager, func(s *aws.Settings) { s.Prefix = "ignored/" }))
	if err := st.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	read := func(certificates string) provider.Value {
		t.Helper()
		v, err := st.Read(t.Context(), provider.Request{Key: certificateARN})
		if err != nil {
			t.Fatal(err)
		}
		parts, err := v.Map()
		if err != nil || len(parts) != 2 || parts["tls.crt"].RevealString() != certificates {
			t.Fatalf("%d parts, %v", len(parts), err)
		}
		if _, err := tls.X509KeyPair(parts["tls.crt"].Reveal(), parts["tls.key"].Reveal()); err != nil {
			t.Fatal(err)
		}
		if v.Data.RevealString() != parts["tls.crt"].RevealString()+parts["tls.key"].RevealString() || v.Version == "" || !v.Expires.After(time.Now()) {
			t.Errorf("version %q, until %s", v.Version, v.Expires)
		}
		return v
	}
	first := read(leaf + "\n" + chain + "\n")
	read(leaf + "\n" + chain + "\n")
	if n := w.server.Count("ExportCertificate"); n != 1 {
		t.Errorf("%d exports of one certificate", n)
	}
	renewed := issue(t, "shop.example", two)
	w.server.PutCertificate(certificateARN, renewed, "", two)
	if second := read(renewed + "\n"); second.Version == first.Version {
		t.Error("a renewed certificate has the version of the old one")
	}
	w.Read(st, provider.Request{Key: certificateARN, Metadata: true}, `{"team":"shop"}`)
	w.server.DeleteCertificate(t, certificateARN)
	w.Cannot(st, provider.Request{Key: certificateARN}, errs.NotExist)
	if _, ok := st.(provider.Writer); ok {
		t.Error("certificates can be written")
	}
	if _, ok := st.(provider.Finder); ok {
		t.Error("certificates can be searched")
	}
}

// What cannot be exported is told so, and what is no answer of AWS deletes nothing.
func TestCertificatesRefused(t *testing.T) {
	w := newWorld(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := issue(t, "shop.example", key)
	st := w.Open(settings(aws.CertificateManager, nil))
	for _, key := range []string{"", "shop", certificateARN + "/x", "arn:aws:secretsmanager:eu-central-1:123456789012:secret:a"} {
		w.Cannot(st, provider.Request{Key: key}, errs.Invalid, "is not the ARN of a certificate")
	}
	w.Cannot(st, provider.Request{Key: certificateARN, Version: "1"}, errs.Invalid, "leave version out")
	w.Cannot(st, provider.Request{Key: certificateARN}, errs.NotExist, "ResourceNotFoundException")
	w.server.PutCertificate(certificateARN, leaf, "", nil)
	w.Cannot(st, provider.Request{Key: certificateARN}, errs.Invalid, "requested with export")
	w.server.PutCertificate(certificateARN, leaf, "", other)
	w.Cannot(st, provider.Request{Key: certificateARN}, errs.Unavailable, "not one of AWS")
	w.server.PutCertificate(certificateARN, leaf, "", key)
	w.server.Fail("GetCertificate", awstest.Fault{Status: 400, Code: "RequestInProgressException", Times: 1})
	w.Cannot(st, provider.Request{Key: certificateARN}, errs.Unavailable, "still being issued")
	w.server.Fail("ExportCertificate", awstest.Fault{Status: 400, Code: "AccessDeniedException", Times: 1})
	w.Cannot(st, provider.Request{Key: certificateARN}, errs.Denied)
	locked, err := json.Marshal(map[string]string{"Certificate": leaf, "PrivateKey": string(pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: cutOff(t, key)}))})
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{`{}`, `{"Certificate":"x","PrivateKey":"canary"}`, string(locked)} {
		w.server.Fail("ExportCertificate", awstest.Fault{Status: 200, Body: body, Times: 1})
		w.Cannot(st, provider.Request{Key: certificateARN}, errs.Unavailable)
	}
	if _, err := st.Read(t.Context(), provider.Request{Key: certificateARN}); err != nil {
		t.Error(err)
	}
}

// cutOff is a locked key that ends in the middle of a block.
func cutOff(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := pkcs8.MarshalPrivateKey(key, []byte("any"), pkcs8.DefaultOpts)
	if err != nil {
		t.Fatal(err)
	}
	var locked struct {
		Algorithm asn1.RawValue
		Data      []byte
	}
	if _, err := asn1.Unmarshal(der, &locked); err != nil {
		t.Fatal(err)
	}
	locked.Data = locked.Data[:len(locked.Data)-1]
	if der, err = asn1.Marshal(locked); err != nil {
		t.Fatal(err)
	}
	return der
}
