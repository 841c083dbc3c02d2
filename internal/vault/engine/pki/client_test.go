package pki_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	vault "github.com/hashicorp/vault/api"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/strongkeep/strongkeep/internal/cli"
	"github.com/strongkeep/strongkeep/internal/cli/session"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

// The example calls the command line as it is found in PATH.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"strongkeep": func() { os.Exit(cli.Main(os.Args[1:], session.System())) },
	})
}

type object = map[string]any

// start runs a vault with pki at "pki" and a root of EC P-256.
func start(t *testing.T) *testenv.Vault {
	t.Helper()
	v := testenv.Start(t, nil)
	if err := v.Sys().Mount("pki", &vault.MountInput{Type: "pki", Config: vault.MountConfigInput{MaxLeaseTTL: "87600h"}}); err != nil {
		t.Fatal(err)
	}
	write(t, v.Client, "root/generate/internal", object{"common_name": "Test Root", "key_type": "ec", "ttl": "8760h", "issuer_name": "root"})
	return v
}

// write sends a request with the official client, which must succeed.
func write(t *testing.T, c *vault.Client, path string, body object) object {
	t.Helper()
	s, err := c.Logical().WriteWithContext(context.Background(), "pki/"+path, body)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if s == nil {
		return nil
	}
	return s.Data
}

func read(t *testing.T, c *vault.Client, path string) object {
	t.Helper()
	s, err := c.Logical().ReadWithContext(context.Background(), "pki/"+path)
	if err != nil || s == nil {
		t.Fatalf("%s: %v, %v", path, s, err)
	}
	return s.Data
}

func parse(t *testing.T, text any) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode([]byte(text.(string)))
	if block == nil {
		t.Fatalf("not PEM: %.100v", text)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// verify holds a certificate of an answer against its chain.
func verify(t *testing.T, data object) *x509.Certificate {
	t.Helper()
	leaf := parse(t, data["certificate"])
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, text := range data["ca_chain"].([]any) {
		c := parse(t, text)
		if c.CheckSignatureFrom(c) == nil {
			roots.AddCert(c)
		} else {
			between.AddCert(c)
		}
	}
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		t.Errorf("the chain does not verify: %v", err)
	}
	if err := leaf.CheckSignatureFrom(parse(t, data["issuing_ca"])); err != nil {
		t.Errorf("issuing_ca did not sign it: %v", err)
	}
	return leaf
}

// makeCSR makes a certificate request.
func makeCSR(t *testing.T, template *x509.CertificateRequest) (string, crypto.Signer) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), key
}

// §1.1 row 25, §2.8: PUT pki/issue/R and pki/sign/R, with their fields; the chain
// of an intermediate; the certificate is there after a restart.
func TestOfficialClient(t *testing.T) {
	v := start(t)
	made := write(t, v.Client, "intermediate/generate/internal", object{"common_name": "Test Intermediate", "key_type": "ec"})
	if made["csr"] == nil || made["key_id"] == nil {
		t.Fatalf("%v", made)
	}
	signed := write(t, v.Client, "root/sign-intermediate", object{"csr": made["csr"], "common_name": "Test Intermediate", "ttl": "4380h"})
	if !verify(t, signed).IsCA {
		t.Error("not a CA")
	}
	imported := write(t, v.Client, "intermediate/set-signed", object{"certificate": signed["certificate"]})
	issuer := imported["imported_issuers"].([]any)[0].(string)
	write(t, v.Client, "issuer/"+issuer, object{"issuer_name": "inter"})
	write(t, v.Client, "roles/web", object{"allowed_domains": "example.com", "allow_subdomains": true, "key_type": "ec", "max_ttl": "72h", "issuer_ref": "inter"})
	data := write(t, v.Client, "issue/web", object{"common_name": "a.example.com", "alt_names": "b.example.com", "ip_sans": "192.0.2.1", "ttl": "24h"})
	leaf := verify(t, data)
	if len(leaf.DNSNames) != 2 || len(leaf.IPAddresses) != 1 || len(data["ca_chain"].([]any)) != 2 || data["private_key_type"] != "ec" {
		t.Errorf("%v %v", leaf.DNSNames, data)
	}
	if e, _ := data["expiration"].(json.Number).Int64(); e != leaf.NotAfter.Unix() {
		t.Error("expiration is not the certificate's")
	}
	if _, err := v.Logical().Write("pki/issue/web", object{"common_name": "a.example.org"}); err == nil || !strings.Contains(err.Error(), "not allowed by this role") {
		t.Errorf("%v", err)
	}
	serial := data["serial_number"].(string)
	v.Restart()
	v.Unseal()
	if got := read(t, v.Client, "cert/"+serial); parse(t, got["certificate"]).SerialNumber.Cmp(leaf.SerialNumber) != 0 {
		t.Error("another certificate")
	}
	// Public, without a token.
	for _, path := range []string{"ca", "ca/pem", "ca_chain", "crl", "crl/pem", "cert/" + serial + "/raw", "issuer/inter/json", "issuer/root/crl/der"} {
		if got := v.HTTP("GET", "pki/"+path, nil, "X-Vault-Token", ""); got.Status != 200 || got.Body == "" {
			t.Errorf("%s: %d %s", path, got.Status, got.Body)
		}
	}
}

// cert-manager's Vault issuer: sys/health without a namespace, then the body that
// its Sign sends, with exclude_cn_from_sans as a string.
func TestCertManager(t *testing.T) {
	v := start(t)
	write(t, v.Client, "roles/cm", object{"allowed_domains": "svc.cluster.local", "allow_subdomains": true, "key_type": "any", "require_cn": false, "allowed_uri_sans": "spiffe://cluster.local/*"})
	if got := v.HTTP("GET", "sys/health", nil, "X-Vault-Token", ""); got.Status != 200 {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	token := v.Policy("cm", `path "pki/sign/cm" { capabilities = ["create", "update"] }`)
	csr, _ := makeCSR(t, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "a.svc.cluster.local"}, DNSNames: []string{"b.svc.cluster.local"}})
	body, err := json.Marshal(object{
		"common_name": "a.svc.cluster.local", "alt_names": "b.svc.cluster.local", "ip_sans": "", "uri_sans": "",
		"ttl": "2160h0m0s", "csr": csr, "exclude_cn_from_sans": "true",
	})
	if err != nil {
		t.Fatal(err)
	}
	got := v.HTTP("POST", "pki/sign/cm", strings.NewReader(string(body)), "X-Vault-Token", token)
	var envelope struct{ Data object }
	if err := json.Unmarshal([]byte(got.Body), &envelope); err != nil || got.Status != 200 {
		t.Fatalf("%d %s", got.Status, got.Body)
	}
	leaf := verify(t, envelope.Data)
	if strings.Join(leaf.DNSNames, ",") != "b.svc.cluster.local" {
		t.Errorf("%v", leaf.DNSNames)
	}
	if envelope.Data["private_key"] != nil {
		t.Error("a private key")
	}
}

// SPIRE's upstream authority: the body that its Vault client sends.
func TestSPIRE(t *testing.T) {
	v := start(t)
	uri, _ := url.Parse("spiffe://example.org")
	csr, key := makeCSR(t, &x509.CertificateRequest{Subject: pkix.Name{Country: []string{"US"}, Organization: []string{"SPIFFE"}}, URIs: []*url.URL{uri}})
	c := v.NewClient(v.Policy("spire", `path "pki/root/sign-intermediate" { capabilities = ["update"] }`))
	data := write(t, c, "root/sign-intermediate", object{
		"common_name": "", "organization": "SPIFFE", "country": "US", "uri_sans": uri.String(), "csr": csr, "ttl": "3600s", "format": "pem",
	})
	ca := verify(t, data)
	if !ca.IsCA || len(ca.URIs) != 1 || ca.URIs[0].String() != uri.String() || ca.Subject.String() != "O=SPIFFE,C=US" {
		t.Errorf("%v %v %v", ca.IsCA, ca.URIs, ca.Subject)
	}
	if !ca.PublicKey.(*ecdsa.PublicKey).Equal(key.Public()) {
		t.Error("another key")
	}
}

// §2.8: revoke {serial_number}; the CRL and OCSP say so when the answer comes;
// openssl agrees.
func TestRevocationAsOpenSSLSeesIt(t *testing.T) {
	v := start(t)
	write(t, v.Client, "roles/web", object{"allow_any_name": true, "key_type": "ec"})
	good := write(t, v.Client, "issue/web", object{"common_name": "good.example.com"})
	bad := write(t, v.Client, "issue/web", object{"common_name": "bad.example.com"})
	before := crl(t, v)
	if len(before.RevokedCertificateEntries) != 0 {
		t.Error("the first CRL is not empty")
	}
	answer := write(t, v.Client, "revoke", object{"serial_number": bad["serial_number"]})
	if answer["state"] != "revoked" || answer["revocation_time_rfc3339"] == "" {
		t.Errorf("%v", answer)
	}
	list := crl(t, v)
	if len(list.RevokedCertificateEntries) != 1 || list.RevokedCertificateEntries[0].SerialNumber.Cmp(parse(t, bad["certificate"]).SerialNumber) != 0 || list.Number.Cmp(before.Number) <= 0 {
		t.Errorf("%+v", list.RevokedCertificateEntries)
	}
	if err := list.CheckSignatureFrom(parse(t, good["issuing_ca"])); err != nil {
		t.Error(err)
	}
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("SKIPPED: openssl is not installed: its view of CRL and OCSP is not tested")
	}
	dir := t.TempDir()
	file := func(name string, text any) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text.(string)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca, goodFile, badFile := file("ca.pem", good["issuing_ca"]), file("good.pem", good["certificate"]), file("bad.pem", bad["certificate"])
	list1 := file("crl.pem", v.HTTP("GET", "pki/crl/pem", nil).Body)
	openssl := func(args ...string) string {
		out, _ := exec.CommandContext(t.Context(), "openssl", args...).CombinedOutput()
		return string(out)
	}
	if out := openssl("verify", "-crl_check", "-CAfile", ca, "-CRLfile", list1, goodFile); !strings.Contains(out, "OK") {
		t.Error(out)
	}
	if out := openssl("verify", "-crl_check", "-CAfile", ca, "-CRLfile", list1, badFile); !strings.Contains(out, "certificate revoked") {
		t.Error(out)
	}
	for _, c := range []struct{ cert, want string }{{goodFile, "good"}, {badFile, "revoked"}} {
		request := filepath.Join(dir, "request.der")
		if out := openssl("ocsp", "-issuer", ca, "-cert", c.cert, "-no_nonce", "-reqout", request); strings.Contains(out, "rror") {
			t.Fatal(out)
		}
		der, err := os.ReadFile(request)
		if err != nil {
			t.Fatal(err)
		}
		got := v.HTTP("POST", "pki/ocsp", strings.NewReader(string(der)), "Content-Type", "application/ocsp-request", "X-Vault-Token", "")
		if got.Status != 200 || got.Header.Get("Content-Type") != "application/ocsp-response" {
			t.Fatalf("%d %q", got.Status, got.Body)
		}
		response := file("response.der", strings.TrimSuffix(got.Body, ""))
		if err := os.WriteFile(response, []byte(got.Body), 0o600); err != nil {
			t.Fatal(err)
		}
		if out := openssl("ocsp", "-issuer", ca, "-cert", c.cert, "-CAfile", ca, "-respin", response, "-no_nonce"); !strings.Contains(out, ": "+c.want) || !strings.Contains(out, "verify OK") {
			t.Error(out)
		}
	}
}

func crl(t *testing.T, v *testenv.Vault) *x509.RevocationList {
	t.Helper()
	list, err := x509.ParseRevocationList([]byte(v.HTTP("GET", "pki/crl", nil, "X-Vault-Token", "").Body))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// A tracked lease: its end revokes the certificate.
func TestLease(t *testing.T) {
	v := start(t)
	write(t, v.Client, "roles/leased", object{"allow_any_name": true, "key_type": "ec", "generate_lease": true})
	s, err := v.Logical().Write("pki/issue/leased", object{"common_name": "a.example.com", "ttl": "1h"})
	if err != nil || s.LeaseID == "" || s.Renewable {
		t.Fatalf("%+v, %v", s, err)
	}
	if err := v.Sys().RevokeWithOptions(&vault.RevokeOptions{LeaseID: s.LeaseID, Sync: true}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, v.Client, "cert/"+s.Data["serial_number"].(string)); got["revocation_time"].(json.Number).String() == "0" {
		t.Errorf("%v", got)
	}
	write(t, v.Client, "crl/rotate", nil)
	if n := len(crl(t, v).RevokedCertificateEntries); n != 1 {
		t.Errorf("%d entries", n)
	}
}

// §6: PKI IP SAN from CSR unchecked. What is in a CSR is held against the role as
// what is in the call; other extensions are not copied.
func TestPKIIPSANFromCSRUnchecked(t *testing.T) {
	v := start(t)
	write(t, v.Client, "roles/strict", object{"allowed_domains": "example.com", "allow_subdomains": true, "key_type": "ec", "allow_ip_sans": false})
	uri, _ := url.Parse("spiffe://example.org/admin")
	for name, template := range map[string]*x509.CertificateRequest{
		"ip":       {IPAddresses: []net.IP{net.ParseIP("192.0.2.1")}},
		"uri":      {URIs: []*url.URL{uri}},
		"email":    {EmailAddresses: []string{"root@example.org"}},
		"host":     {DNSNames: []string{"a.example.org"}},
		"wildcard": {DNSNames: []string{"a.*.example.com"}},
		"serial":   {Subject: pkix.Name{SerialNumber: "1"}},
	} {
		template.Subject.CommonName = "a.example.com"
		csr, _ := makeCSR(t, template)
		if _, err := v.Logical().Write("pki/sign/strict", object{"csr": csr}); err == nil || !strings.Contains(err.Error(), "Code: 400") {
			t.Errorf("%s: %v", name, err)
		}
	}
	csr, _ := makeCSR(t, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "a.example.com"}, ExtraExtensions: []pkix.Extension{
		{Id: []int{2, 5, 29, 19}, Critical: true, Value: []byte{0x30, 0x03, 0x01, 0x01, 0xff}},
		{Id: []int{2, 5, 29, 15}, Critical: true, Value: []byte{0x03, 0x02, 0x01, 0x06}},
		{Id: []int{1, 2, 3, 4}, Value: []byte{0x05, 0x00}},
	}})
	for _, path := range []string{"sign/strict", "sign-verbatim", "sign-verbatim/strict"} {
		leaf := verify(t, write(t, v.Client, path, object{"csr": csr}))
		if leaf.IsCA || leaf.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0 {
			t.Errorf("%s: a CA was made", path)
		}
		for _, e := range leaf.Extensions {
			if e.Id.String() == "1.2.3.4" {
				t.Errorf("%s: an extension was copied", path)
			}
		}
	}
}

// The example works as it stands.
func TestExample(t *testing.T) {
	const script = "../../../../examples/vault/pki.sh"
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("SKIPPED: no sh is installed, which runs the example")
	}
	v := testenv.Start(t, nil)
	cmd := exec.CommandContext(t.Context(), "sh", script)
	cmd.Env = append(os.Environ(), "VAULT_ADDR="+v.Server.URL(), "VAULT_TOKEN="+v.Root, "VAULT_CACERT="+v.Server.CAFile())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "pki works") {
		t.Errorf("%v\n%s", err, out)
	}
}
