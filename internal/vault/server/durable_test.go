package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

// What was acknowledged is there after a restart, whatever it is.
func TestRestartKeepsEverything(t *testing.T) {
	v, c := start(t), newCluster(t)
	kubernetesAuth(t, v, c)
	ctx := t.Context()
	for i := range 3 {
		must[*vault.KVSecret](t)(v.KVv2("secret").Put(ctx, "app/config", map[string]any{"n": i}))
	}
	check(t, v.KVv2("secret").DeleteVersions(ctx, "app/config", []int{1}))
	check(t, v.KVv2("secret").PutMetadata(ctx, "app/config", vault.KVMetadataPutInput{MaxVersions: 5, CustomMetadata: map[string]any{"a": "b"}}))
	check(t, v.KVv1("kv").Put(ctx, "a", map[string]any{"x": "1"}))
	wantStatus(t, send(v, "PUT", "secret/config", `{"max_versions":7}`), 204)
	check(t, v.Sys().TuneMount("kv", vault.MountConfigInput{DefaultLeaseTTL: "5m"}))
	check(t, v.Sys().PutPolicy("p", `path "kv/a" { capabilities = ["read"] }`))
	check(t, v.Sys().EnableAuthWithOptions("other", &vault.EnableAuthOptions{Type: "kubernetes"}))
	check(t, v.Sys().EnableAuditWithOptions("two", &vault.EnableAuditOptions{Type: "file", Options: map[string]string{"file_path": "two.log"}}))
	_, err := v.Logical().Write("auth/token/roles/r", map[string]any{"orphan": true})
	check(t, err)
	check(t, v.Sys().Rotate())
	service := create(t, v, vault.TokenCreateRequest{Policies: []string{"p", "default"}, NumUses: 100}).ClientToken
	batch := create(t, v, vault.TokenCreateRequest{Policies: []string{"p"}, Type: "batch", TTL: "1h"}).ClientToken
	revoked := create(t, v, vault.TokenCreateRequest{Policies: []string{"p"}}).ClientToken
	check(t, v.Auth().Token().RevokeTree(revoked))
	wantStatus(t, send(v, "PUT", "cubbyhole/c", `{"x":"1"}`, "X-Vault-Token", service), 204)
	jwt := c.issue(t, "prod", "web", time.Hour)
	paths := []string{
		"secret/data/app/config?version=2", "secret/data/app/config?version=1", "secret/metadata/app/config", "kv/a", "secret/config",
		"sys/mounts", "sys/auth", "sys/policies/acl/p", "sys/policies/acl/default", "sys/audit", "auth/token/roles/r", "auth/kubernetes/config",
		"auth/kubernetes/role/app", "sys/mounts/kv/tune", "secret/metadata?list=true", "auth/token/accessors?list=true",
	}
	before := map[string]string{}
	for _, path := range paths {
		before[path] = dropID(send(v, "GET", path, "").Body)
	}
	for range 2 {
		v.Restart()
		wantHealth(t, v, "", 503, true, true)
		v.Unseal()
		for _, path := range paths {
			if after := dropID(send(v, "GET", path, "").Body); after != before[path] {
				t.Errorf("%s was\n%s\nand is\n%s", path, before[path], after)
			}
		}
		for name, token := range map[string]string{"service": service, "batch": batch} {
			if a := send(v, "GET", "kv/a", "", "X-Vault-Token", token); a.Status != 200 {
				t.Errorf("a %s token: %d %s", name, a.Status, a.Body)
			}
		}
		wantErrors(t, send(v, "GET", "kv/a", "", "X-Vault-Token", revoked), 403, textBadToken)
		wantStatus(t, send(v, "GET", "cubbyhole/c", "", "X-Vault-Token", service), 200)
		_, err := v.NewClient("").Logical().Write("auth/kubernetes/login", map[string]any{"role": "app", "jwt": jwt})
		check(t, err)
		before["auth/token/accessors?list=true"] = dropID(send(v, "GET", "auth/token/accessors?list=true", "").Body)
	}
}

// dropID cuts what differs between two equal answers.
func dropID(body string) string {
	if _, rest, ok := strings.Cut(body, `"lease_id"`); ok {
		return rest
	}
	return body
}

// authority makes a CA and a certificate for 127.0.0.1 in files of its own.
func authority(t testing.TB, notAfter time.Time, name string) (ca, cert, key string) {
	t.Helper()
	dir := t.TempDir()
	caKey := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	root := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotBefore: notAfter.Add(-48 * time.Hour),
		NotAfter: notAfter.Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leafKey := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	leaf := &x509.Certificate{SerialNumber: big.NewInt(2), NotBefore: notAfter.Add(-24 * time.Hour), NotAfter: notAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	if ip := net.ParseIP(name); ip != nil {
		leaf.IPAddresses = []net.IP{ip}
	} else {
		leaf.DNSNames = []string{name}
	}
	save := func(file, kind string, der []byte) string {
		path := filepath.Join(dir, file)
		check(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return path
	}
	ca = save("ca.pem", "CERTIFICATE", must[[]byte](t)(x509.CreateCertificate(rand.Reader, root, root, caKey.Public(), caKey)))
	cert = save("cert.pem", "CERTIFICATE", must[[]byte](t)(x509.CreateCertificate(rand.Reader, leaf, root, leafKey.Public(), caKey)))
	key = save("key.pem", "PRIVATE KEY", must[[]byte](t)(x509.MarshalPKCS8PrivateKey(leafKey)))
	return ca, cert, key
}

// Issue 2, bad input: what a client sees of an expired certificate, one for
// another name, a CA it does not trust, and plain HTTP.
func TestCertificatesAsTheClientSeesThem(t *testing.T) {
	for name, c := range map[string]struct {
		left     time.Duration
		host     string
		wrongCA  bool
		wantText string
	}{
		"good":         {time.Hour, "127.0.0.1", false, ""},
		"expired":      {-time.Hour, "127.0.0.1", false, "certificate has expired"},
		"another name": {time.Hour, "vault.example", false, "127.0.0.1"},
		"wrong CA":     {time.Hour, "127.0.0.1", true, "unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			ca, cert, key := authority(t, time.Now().Add(c.left), c.host)
			v := testenv.New(t, func(cfg *app.ServerConfig) { cfg.TLSCert, cfg.TLSKey = cert, key })
			if c.wrongCA {
				ca, _, _ = authority(t, time.Now().Add(time.Hour), c.host)
			}
			cfg := vault.DefaultConfig()
			cfg.Address, cfg.MaxRetries = v.Server.URL(), 0
			check(t, cfg.ConfigureTLS(&vault.TLSConfig{CACert: ca}))
			client := must[*vault.Client](t)(vault.NewClient(cfg))
			defer cfg.HttpClient.CloseIdleConnections()
			_, err := client.Sys().Health()
			switch {
			case c.wantText == "":
				check(t, err)
			case err == nil || !strings.Contains(err.Error(), "x509") || !strings.Contains(err.Error(), c.wantText):
				t.Errorf("%v, want an x509 error with %q", err, c.wantText)
			}
		})
	}
	v := testenv.Start(t, nil)
	res, err := http.Get("http://" + v.Server.Addr() + "/v1/sys/health")
	check(t, err)
	defer res.Body.Close()
	if body := must[[]byte](t)(io.ReadAll(res.Body)); res.StatusCode != 400 || !strings.Contains(string(body), "HTTPS server") {
		t.Errorf("plain HTTP: %d %s", res.StatusCode, body)
	}
}

// §1.1: metrics need a token with policy and name nothing that a client chose.
func TestMetrics(t *testing.T) {
	v := start(t)
	wantErrors(t, send(v, "GET", "sys/metrics", "", "X-Vault-Token", ""), 403, textBadToken)
	token := v.Policy("prometheus", `path "sys/metrics" { capabilities = ["read"] }`)
	wantStatus(t, send(v, "PUT", "kv/canary-name", `{"canary-field":"canary-value"}`), 204)
	wantStatus(t, send(v, "GET", "canary-mount/x", ""), 404)
	wantStatus(t, send(v, "GET", "kv/x", "", "X-Vault-Token", "hvs.canary"), 403)
	a := send(v, "GET", "sys/metrics?format=prometheus", "", "X-Vault-Token", token)
	wantStatus(t, a, 200)
	if !strings.HasPrefix(a.Header.Get("Content-Type"), "text/plain") {
		t.Errorf("Content-Type %q", a.Header.Get("Content-Type"))
	}
	for _, want := range []string{
		`strongkeep_requests_total{mount_type="kv",operation="create",result="ok"} 1`,
		`strongkeep_requests_total{mount_type="kv",operation="read",result="Unauthenticated"} 1`,
		"strongkeep_request_duration_seconds_bucket", "go_goroutines",
	} {
		if !strings.Contains(a.Body, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if strings.Contains(a.Body, "canary") {
		t.Error("the metrics show what a client chose")
	}
}
