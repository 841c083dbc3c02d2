package vault_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/hashicorp/vault/api"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

// secrets is a Kubernetes with Secrets, "name#key"; sign makes ServiceAccounts' tokens.
type secrets struct {
	root
	values map[string]string
	sign   func(subject string, audiences []string) string
}

func (s *secrets) SecretKey(_ context.Context, ref provider.Ref, key string) (redact.Secret, error) {
	v, ok := s.values[strings.TrimPrefix(ref.String(), "team/")+"#"+key]
	if !ok {
		return redact.Secret{}, errs.Newf(errs.NotExist, "Secret %q has no key %q", ref, key)
	}
	return redact.FromString(v), nil
}

func (s *secrets) ServiceAccountToken(_ context.Context, ref provider.Ref, audiences []string) (redact.Secret, error) {
	return redact.FromString(s.sign("system:serviceaccount:"+strings.ReplaceAll(ref.String(), "/", ":"), audiences)), nil
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// pair makes a client certificate, which is its own authority.
func pair(t *testing.T, name string, serial int64) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	check(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	check(t, err)
	return block("CERTIFICATE", der), block("PRIVATE KEY", raw)
}

// logins is a vault that people can log in to by several methods, and read one secret.
func logins(t *testing.T) (*testenv.Vault, *secrets) {
	t.Helper()
	v := testenv.Start(t, nil)
	write := func(path string, data map[string]any) {
		t.Helper()
		_, err := v.Logical().Write(path, data)
		check(t, err)
	}
	signing, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	der, err := x509.MarshalPKIXPublicKey(signing.Public())
	check(t, err)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: signing}, nil)
	check(t, err)
	k := &secrets{values: map[string]string{"login#password": "canary-right", "login#bad": "canary-wrong"}}
	k.sign = func(subject string, audiences []string) string {
		text, err := jwt.Signed(signer).Claims(jwt.Claims{Subject: subject, Audience: audiences, Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour))}).Serialize()
		check(t, err)
		return text
	}
	k.values["login#token"] = k.sign("somebody", []string{"vault"})
	k.values["pair#tls.crt"], k.values["pair#tls.key"] = pair(t, "web", 1)
	k.values["other#tls.crt"], k.values["other#tls.key"] = pair(t, "other", 2)

	write("sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]any{"version": "2"}})
	write("secret/data/app", map[string]any{"data": map[string]any{"a": "b"}})
	check(t, v.Sys().PutPolicy("app", `path "secret/data/app" { capabilities = ["read"] }`))
	for _, method := range []string{"userpass", "jwt", "cert"} {
		check(t, v.Sys().EnableAuthWithOptions(method, &api.EnableAuthOptions{Type: method}))
	}
	write("auth/userpass/users/ann", map[string]any{"password": "canary-right", "token_policies": "app"})
	write("auth/jwt/config", map[string]any{"jwt_validation_pubkeys": []string{block("PUBLIC KEY", der)}, "default_role": "app"})
	write("auth/jwt/role/app", map[string]any{"role_type": "jwt", "bound_audiences": []string{"vault"}, "user_claim": "sub", "token_policies": "app"})
	write("auth/cert/certs/web", map[string]any{"certificate": k.values["pair#tls.crt"], "token_policies": "app"})
	return v, k
}

// Each method against the vault itself: what is right reads, what is wrong is
// refused as such, and neither says what it logged in with.
func TestLogins(t *testing.T) {
	v, k := logins(t)
	ca, err := os.ReadFile(v.Server.CAFile())
	check(t, err)
	for text, want := range map[string]string{
		`{"userPass":{"username":"ann","secretRef":{"name":"login"}}}`:                                                                  "",
		`{"userPass":{"username":"ann","secretRef":{"name":"login","key":"bad"}}}`:                                                      `user "ann" at auth/userpass`,
		`{"userPass":{"username":"bob","secretRef":{"name":"login"}}}`:                                                                  "auth/userpass/users/bob",
		`{"userPass":{"username":"ann","secretRef":{"name":"absent"}}}`:                                                                 `"team/absent" has no key "password"`,
		`{"jwt":{"role":"app","secretRef":{"name":"login"}}}`:                                                                           "",
		`{"jwt":{"kubernetesServiceAccountToken":{"serviceAccountRef":{"name":"web"}}}}`:                                                "",
		`{"jwt":{"role":"app","kubernetesServiceAccountToken":{"serviceAccountRef":{"name":"web","audiences":["https://elsewhere"]}}}}`: "auth/jwt/role/app",
		`{"cert":{"vaultRole":"web","clientCert":{"name":"pair"},"secretRef":{"name":"pair"}}}`:                                         "",
		`{"cert":{"clientCert":{"name":"pair"},"secretRef":{"name":"pair"}}}`:                                                           "",
		`{"cert":{"clientCert":{"name":"other"},"secretRef":{"name":"other"}}}`:                                                         "auth/cert/certs/NAME",
		`{"cert":{"clientCert":{"name":"pair"},"secretRef":{"name":"other"}}}`:                                                          "do not fit together",
		`{"ldap":{"username":"ann","secretRef":{"name":"login"}}}`:                                                                      "auth/ldap",
	} {
		settings, err := json.Marshal(map[string]any{"server": v.Server.URL(), "caBundle": ca, "path": "secret", "auth": json.RawMessage(text)})
		check(t, err)
		none, log := 0, &strings.Builder{}
		st, err := vault.Provider{}.Open(t.Context(), provider.Config{
			Scope:    provider.ScopeOf(&v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "vault"}}),
			Settings: settings, Retry: provider.Retry{Max: &none}, Cluster: k, Clock: clock.RealClock{}, Log: slog.New(slog.NewTextHandler(log, nil)),
		})
		if err == nil {
			var value provider.Value
			if value, err = st.Read(t.Context(), provider.Request{Key: "app"}); err == nil && value.Data.RevealString() != `{"a":"b"}` {
				t.Errorf("%s reads something else", text)
			}
			check(t, st.Close(t.Context()))
		}
		switch {
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", text, err, want)
		case err != nil && (strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "PRIVATE") || errs.Is(err, errs.NotExist)):
			t.Errorf("%s: %v (%v)", text, err, errs.KindOf(err))
		}
		if strings.Contains(log.String(), "canary") {
			t.Error("a password is in the log")
		}
	}
}

// A certificate that is renewed in its Secret is the next connection's.
func TestRenewedCertificate(t *testing.T) {
	v, k := logins(t)
	ca, err := os.ReadFile(v.Server.CAFile())
	check(t, err)
	settings, err := json.Marshal(map[string]any{"server": v.Server.URL(), "caBundle": ca, "path": "secret", "auth": json.RawMessage(`{"cert":{"clientCert":{"name":"other"},"secretRef":{"name":"other"}}}`)})
	check(t, err)
	none := 0
	st, err := vault.Provider{}.Open(t.Context(), provider.Config{
		Scope:    provider.ScopeOf(&v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "vault"}}),
		Settings: settings, Retry: provider.Retry{Max: &none}, Cluster: k, Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler),
	})
	check(t, err)
	defer func() { check(t, st.Close(context.WithoutCancel(t.Context()))) }()
	req := provider.Request{Key: "app"}
	if _, err := st.Read(t.Context(), req); !errs.Is(err, errs.Unauthenticated) {
		t.Fatalf("with a certificate of nobody: %v (%v)", err, errs.KindOf(err))
	}
	k.values["other#tls.crt"], k.values["other#tls.key"] = k.values["pair#tls.crt"], k.values["pair#tls.key"]
	if _, err := st.Read(t.Context(), req); err != nil {
		t.Errorf("after the Secret was renewed: %v", err)
	}
}
