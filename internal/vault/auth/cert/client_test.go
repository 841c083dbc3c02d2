package cert_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

// A login over real TLS, with the official client; only the holder of the
// certificate's key can renew what it bought.
func TestOfficialClientOverTLS(t *testing.T) {
	v := testenv.Start(t, nil)
	dir := t.TempDir()
	ca, key := makeCA(t)
	if err := v.Sys().EnableAuthWithOptions("cert", &vault.EnableAuthOptions{Type: "cert"}); err != nil {
		t.Fatal(err)
	}
	role := map[string]any{"certificate": toPEM("CERTIFICATE", ca.Raw), "allowed_common_names": "web-*", "token_policies": "default", "token_ttl": "1h"}
	if _, err := v.Logical().Write("auth/cert/certs/web", role); err != nil {
		t.Fatal(err)
	}
	with := func(name string) *vault.Client {
		t.Helper()
		certFile, keyFile := issue(t, dir, name, ca, key)
		cfg := vault.DefaultConfig()
		cfg.Address, cfg.MaxRetries = v.Server.URL(), 0
		if err := cfg.ConfigureTLS(&vault.TLSConfig{CACert: v.Server.CAFile(), ClientCert: certFile, ClientKey: keyFile}); err != nil {
			t.Fatal(err)
		}
		c, err := vault.NewClient(cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cfg.HttpClient.CloseIdleConnections)
		c.ClearNamespace()
		return c
	}
	web := with("web-1")
	s, err := web.Logical().Write("auth/cert/login", nil)
	if err != nil || s.Auth.Metadata["common_name"] != "web-1" {
		t.Fatalf("%+v, %v", s, err)
	}
	web.SetToken(s.Auth.ClientToken)
	if _, err := web.Auth().Token().RenewSelf(60); err != nil {
		t.Error(err)
	}
	thief := v.NewClient(s.Auth.ClientToken)
	if _, err := thief.Auth().Token().RenewSelf(60); err == nil {
		t.Error("renewed without the certificate")
	}
	other := with("web-2")
	other.SetToken(s.Auth.ClientToken)
	if _, err := other.Auth().Token().RenewSelf(60); err == nil {
		t.Error("renewed with another certificate of the same CA")
	}
	if _, err := with("db-1").Logical().Write("auth/cert/login", nil); err == nil {
		t.Error("a name that does not fit logs in")
	}
	if _, err := v.NewClient("").Logical().Write("auth/cert/login", nil); err == nil {
		t.Error("no certificate logs in")
	}
}

func makeCA(t *testing.T) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "clients"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return ca, key
}

func issue(t *testing.T, dir, name string, ca *x509.Certificate, signer *ecdsa.PrivateKey) (certFile, keyFile string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, name+".pem"), filepath.Join(dir, name+"-key.pem")
	for file, text := range map[string]string{certFile: toPEM("CERTIFICATE", der), keyFile: toPEM("EC PRIVATE KEY", private)} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func toPEM(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
