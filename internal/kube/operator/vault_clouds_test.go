package operator

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/awstest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault"
)

// storeExample returns an example of a store, with pairs of texts replaced.
func storeExample(t *testing.T, name string, pairs ...string) string {
	t.Helper()
	raw, err := os.ReadFile("../../../examples/stores/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(pairs...).Replace(string(raw))
}

// signedByAWS reports whose request to STS a login by auth/aws has, as the vault does
// that sends it there.
func (w *world) signedByAWS(ctx context.Context, body map[string]string) string {
	part := func(name string) []byte {
		raw, err := base64.StdEncoding.DecodeString(body[name])
		if err != nil {
			w.Errorf("%s is no base64", name)
		}
		return raw
	}
	sent := part("iam_request_body")
	req, err := http.NewRequestWithContext(ctx, body["iam_http_request_method"], string(part("iam_request_url")), bytes.NewReader(sent))
	if err != nil || json.Unmarshal(part("iam_request_headers"), &req.Header) != nil {
		w.Error("no request to STS", err)
		return ""
	}
	who, ok := w.aws.Signed(req, sent, "eu-central-1")
	if !ok || req.Header.Get("X-Vault-AWS-IAM-Server-ID") != "vault.example" {
		return ""
	}
	return who
}

// The examples of docs/stores/vault.md for logins by AWS and by Google, of ServiceAccounts
// whose tokens the API server makes for them; the vault sees who it is, and lets in nobody else.
func TestVaultCloudExamples(t *testing.T) {
	w := newWorld(t)
	const role, email = "arn:aws:iam::123456789012:role/shop-vault", "shop-vault@my-project.iam.gserviceaccount.com"
	w.aws.AddRole(role, awstest.Role{Subject: "system:serviceaccount:" + w.ns + ":shop-vault"})
	w.gcp.Account(email, "system:serviceaccount:"+w.ns+":shop-vault")
	w.vault.Admit = func(path string, body map[string]string) bool {
		switch path {
		case "auth/aws/login":
			return body["role"] == "shop" && w.signedByAWS(t.Context(), body) == role
		case "auth/gcp/login":
			claims, ok := w.gcp.Claims(body["jwt"])
			return body["role"] == "shop" && ok && claims.Subject == email && claims.Audience == "vault/shop"
		}
		return false
	}
	w.vault.Put("shop/config", `{"password":"`+canary+`"}`)
	w.start(func(c *Config) {
		c.Providers[vault.Name] = vault.Provider{Getenv: func(name string) string {
			if v := w.aws.Getenv(name); v != "" {
				return v
			}
			return w.gcp.Getenv(name)
		}}
	})
	for file, names := range map[string][2]string{"vault-iam.yaml": {"vault-by-aws", "shop-by-aws"}, "vault-gcp.yaml": {"vault-by-google", "shop-by-google"}} {
		w.apply(storeExample(t, file, "https://vault.example:8200", "VAULT"))
		w.secret(names[1], map[string]string{"password": canary})
		w.storeReady(names[0], v1.ReasonStoreValid, "")
	}
	w.apply(strings.ReplaceAll(storeExample(t, "vault-iam.yaml", "https://vault.example:8200", "VAULT", "vaultRole: shop", "vaultRole: other"), "by-aws", "by-another"))
	w.storeReady("vault-by-another", v1.ReasonValidationFailed, "strongkeep read auth/aws/role/other")
}

// The example of docs/stores/aws.md for certificates: with its key, as Ingresses take it.
func TestAWSCertificateExample(t *testing.T) {
	w := newWorld(t)
	w.aws.AddRole("arn:aws:iam::123456789012:role/shop-certificates", awstest.Role{Subject: "system:serviceaccount:" + w.ns + ":certificates-reader"})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "shop.example"}, NotBefore: time.Now(), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	w.aws.PutCertificate("arn:aws:acm:eu-central-1:123456789012:certificate/12345678-1234-1234-1234-123456789012", leaf, "", key)
	w.start(nil)
	w.apply(storeExample(t, "aws-certificatemanager.yaml"))
	w.es("shop-tls", v1.ReasonSecretSynced, "")
	w.storeReady("certificates", v1.ReasonStoreValid, "")
	var s corev1.Secret
	if err := testClient.Get(t.Context(), types.NamespacedName{Namespace: w.ns, Name: "shop-tls"}, &s); err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(s.Data["tls.key"])
	if s.Type != corev1.SecretTypeTLS || string(s.Data["tls.crt"]) != leaf || block == nil || len(s.Data) != 2 {
		t.Fatalf("a Secret of type %s with %d keys", s.Type, len(s.Data))
	}
	got, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if private, ok := got.(*ecdsa.PrivateKey); err != nil || !ok || !private.Equal(key) {
		t.Errorf("another key (%v)", err)
	}
}
