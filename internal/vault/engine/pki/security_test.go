package pki_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"
)

// material returns a root's key and certificate in PEM.
func material(t *testing.T) (key, cert string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "Brought"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// The private keys of issuers and certificates are in no audit line, log line or
// error, and in no answer but the one that made them.
func TestCanaryPrivateKeys(t *testing.T) {
	v := start(t)
	brought, cert := material(t)
	secrets := []string{brought}
	var shown strings.Builder
	try := func(path string, body object) object {
		s, err := v.Logical().Write("pki/"+path, body)
		if err != nil {
			shown.WriteString(err.Error())
			return nil
		}
		if s == nil {
			return nil
		}
		return s.Data
	}
	for _, path := range []string{"root/generate/exported", "intermediate/generate/exported", "keys/generate/exported"} {
		made := try(path, object{"common_name": "Exported", "key_type": "ec", "format": "pem"})
		if made == nil || made["private_key"] == nil {
			t.Fatalf("%s: no key", path)
		}
		secrets = append(secrets, made["private_key"].(string))
	}
	write(t, v.Client, "issuers/import/bundle", object{"pem_bundle": brought + cert})
	write(t, v.Client, "roles/any", object{"allow_any_name": true, "key_type": "ec"})
	issued := write(t, v.Client, "issue/any", object{"common_name": "a.example.com", "format": "pem_bundle"})
	secrets = append(secrets, issued["private_key"].(string))
	// What is refused, with a key where it does not belong.
	for path, field := range map[string]string{
		"issuers/import/cert": "pem_bundle", "intermediate/set-signed": "certificate", "root/sign-self-issued": "certificate",
		"sign/any": "csr", "sign-verbatim": "csr", "root/sign-intermediate": "csr", "keys/import": "key_name", "revoke": "certificate",
	} {
		try(path, object{field: brought, "common_name": "a"})
	}
	try("issuers/import/bundle", object{"pem_bundle": brought[:len(brought)-60]})
	try("revoke-with-key", object{"serial_number": issued["serial_number"], "private_key": brought})
	try("roles/any2", object{"key_usage": brought})
	for _, path := range []string{"key/default", "issuer/default", "config/keys", "config/issuers", "issuer/default/json", "cert/ca"} {
		for _, value := range read(t, v.Client, path) {
			if text, ok := value.(string); ok {
				shown.WriteString(text)
			}
		}
	}
	audit, err := os.ReadFile(v.AuditFile())
	if err != nil || !strings.Contains(string(audit), "pki/issuers/import/bundle") {
		t.Fatalf("the audit file does not tell of it: %v", err)
	}
	for i, secret := range secrets {
		lines := strings.Split(strings.TrimSpace(secret), "\n")
		canary := lines[len(lines)/2] // a line in the middle: no header, no padding
		for where, text := range map[string]string{"audit": string(audit), "log": v.Log.String(), "answers": shown.String()} {
			if strings.Contains(text, canary) {
				t.Errorf("key %d is in the %s", i, where)
			}
		}
	}
}

// A path length of zero holds for cross signatures, and a weak key is not signed.
func TestSelfIssuedIsJudged(t *testing.T) {
	v := start(t)
	_, cert := material(t)
	write(t, v.Client, "root/sign-self-issued", object{"certificate": cert})
	key, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip("SKIPPED: this build makes no weak keys: ", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Weak"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	weak := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	if _, err := v.Logical().Write("pki/root/sign-self-issued", object{"certificate": weak}); err == nil || !strings.Contains(err.Error(), "unsafe") {
		t.Errorf("%v", err)
	}
	write(t, v.Client, "root/generate/internal", object{"common_name": "Last", "key_type": "ec", "max_path_length": 0, "issuer_name": "last", "ttl": "8760h"})
	for path, body := range map[string]object{
		"issuer/last/sign-self-issued": {"certificate": cert},
	} {
		if _, err := v.Logical().Write("pki/"+path, body); err == nil || !strings.Contains(err.Error(), "max path length of zero") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A CA below has a path length below its issuer's; none can be had below zero.
func TestPathLength(t *testing.T) {
	v := start(t)
	write(t, v.Client, "root/generate/internal", object{"common_name": "One", "key_type": "ec", "max_path_length": 1, "issuer_name": "one", "ttl": "8760h"})
	csr, _ := makeCSR(t, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "I"}})
	for _, length := range []any{1, 5} {
		if _, err := v.Logical().Write("pki/issuer/one/sign-intermediate", object{"csr": csr, "common_name": "I", "max_path_length": length}); err == nil || !strings.Contains(err.Error(), "max_path_length") {
			t.Errorf("%v: %v", length, err)
		}
	}
	signed := write(t, v.Client, "issuer/one/sign-intermediate", object{"csr": csr, "common_name": "I", "ttl": "1h"})
	if ca := verify(t, signed); ca.MaxPathLen != 0 || !ca.MaxPathLenZero {
		t.Errorf("%d", ca.MaxPathLen)
	}
}

// leaf_not_after_behavior: a certificate does not outlive its issuer unless that is permitted.
func TestLeafNotAfterBehavior(t *testing.T) {
	v := start(t)
	write(t, v.Client, "root/generate/internal", object{"common_name": "Short", "key_type": "ec", "issuer_name": "short", "ttl": "2h"})
	write(t, v.Client, "roles/any", object{"allow_any_name": true, "key_type": "ec", "issuer_ref": "short", "max_ttl": "100h"})
	end := parse(t, read(t, v.Client, "issuer/short")["certificate"]).NotAfter
	ask := object{"common_name": "a.example.com", "ttl": "50h"}
	if _, err := v.Logical().Write("pki/issue/any", ask); err == nil || !strings.Contains(err.Error(), "beyond the expiration of the CA") {
		t.Errorf("%v", err)
	}
	write(t, v.Client, "issuer/short", object{"leaf_not_after_behavior": "truncate"})
	if got := parse(t, write(t, v.Client, "issue/any", ask)["certificate"]).NotAfter; !got.Equal(end) {
		t.Errorf("%v, want %v", got, end)
	}
	write(t, v.Client, "issuer/short", object{"leaf_not_after_behavior": "permit"})
	if got := parse(t, write(t, v.Client, "issue/any", ask)["certificate"]).NotAfter; !got.After(end) {
		t.Errorf("%v, want after %v", got, end)
	}
}

// What no issuer here signed is not revoked here.
func TestRevokeForeignCertificate(t *testing.T) {
	v := start(t)
	_, cert := material(t)
	if _, err := v.Logical().Write("pki/revoke", object{"certificate": cert}); err == nil || !strings.Contains(err.Error(), "not signed by an issuer of this mount") {
		t.Errorf("%v", err)
	}
	if _, err := v.Logical().Write("pki/revoke", object{"serial_number": "00:11:22"}); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Errorf("%v", err)
	}
	if n := len(crl(t, v).RevokedCertificateEntries); n != 0 {
		t.Errorf("%d entries", n)
	}
}

// use_pss, user_ids, and templates in URLs reach the certificate.
func TestRarerFields(t *testing.T) {
	v := start(t)
	write(t, v.Client, "root/generate/internal", object{"common_name": "RSA", "issuer_name": "rsa", "ttl": "100h"})
	write(t, v.Client, "config/cluster", object{"path": "https://a.example.com/v1/pki", "aia_path": "http://b.example.com"})
	write(t, v.Client, "config/urls", object{"enable_templating": true, "issuing_certificates": "{{cluster_aia_path}}/{{issuer_id}}/der", "ocsp_servers": "{{cluster_path}}/ocsp"})
	write(t, v.Client, "roles/rare", object{"allow_any_name": true, "key_type": "ec", "issuer_ref": "rsa", "use_pss": true, "signature_bits": 384, "allowed_user_ids": "u*"})
	leaf := verify(t, write(t, v.Client, "issue/rare", object{"common_name": "a.example.com", "user_ids": "u1,u2", "ttl": "1h"}))
	id := read(t, v.Client, "issuer/rsa")["issuer_id"].(string)
	if leaf.SignatureAlgorithm != x509.SHA384WithRSAPSS || len(leaf.IssuingCertificateURL) != 1 || leaf.IssuingCertificateURL[0] != "http://b.example.com/"+id+"/der" || leaf.OCSPServer[0] != "https://a.example.com/v1/pki/ocsp" {
		t.Errorf("%v %v %v", leaf.SignatureAlgorithm, leaf.IssuingCertificateURL, leaf.OCSPServer)
	}
	var ids []string
	for _, n := range leaf.Subject.Names {
		if n.Type.String() == "0.9.2342.19200300.100.1.1" {
			ids = append(ids, n.Value.(string))
		}
	}
	if strings.Join(ids, ",") != "u1,u2" {
		t.Errorf("%v", ids)
	}
	if _, err := v.Logical().Write("pki/issue/rare", object{"common_name": "a.example.com", "user_ids": "root"}); err == nil || !strings.Contains(err.Error(), "allowed_user_ids") {
		t.Errorf("%v", err)
	}
}
