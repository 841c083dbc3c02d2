package record_test

import (
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/record"
)

// A CA to verify by may lie beside the certificate that is shown to others.
func TestCertificateBesideItsCA(t *testing.T) {
	public, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	made := func(name string) []byte {
		c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}}
		der, err := x509.CreateCertificate(nil, c, c, public, key)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	m := &record.Maker{}
	s := m.Secret(&corev1.Secret{Data: map[string][]byte{"ca.crt": made("an authority"), "server.crt": made("a server"), "server.key": []byte("k")}})
	if s.Certificate == nil || s.Certificate.Key != "server.crt" || s.Certificate.Subject != "CN=a server" {
		t.Errorf("%+v", s.Certificate)
	}
	if s = m.Secret(&corev1.Secret{Data: map[string][]byte{"ca.crt": made("an authority")}}); s.Certificate == nil || s.Certificate.Key != "ca.crt" {
		t.Errorf("%+v", s.Certificate)
	}
}
