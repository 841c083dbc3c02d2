package jwt_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	vault "github.com/hashicorp/vault/api"

	"github.com/strongkeep/strongkeep/internal/testenv"
)

// §1.1 row 17 with the official client.
func TestOfficialClient(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(jwt.Claims{Subject: "spiffe://example.org/app", Audience: jwt.Audience{"vault"}, Expiry: jwt.NewNumericDate(time.Now().Add(time.Hour))}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	v := testenv.Start(t, nil)
	for path, kind := range map[string]string{"jwt": "jwt", "oidc": "oidc"} {
		if err := v.Sys().EnableAuthWithOptions(path, &vault.EnableAuthOptions{Type: kind}); err != nil {
			t.Fatal(err)
		}
	}
	public := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if _, err := v.Logical().Write("auth/jwt/config", map[string]any{"jwt_validation_pubkeys": []string{public}, "default_role": "app"}); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Logical().Write("auth/jwt/role/app", map[string]any{"role_type": "jwt", "bound_audiences": []string{"vault"}, "user_claim": "sub", "token_ttl": "20m"}); err != nil {
		t.Fatal(err)
	}
	s, err := v.NewClient("").Logical().Write("auth/jwt/login", map[string]any{"jwt": text})
	if err != nil || s.Auth.LeaseDuration != 1200 || s.Auth.Metadata["role"] != "app" {
		t.Fatalf("%+v, %v", s, err)
	}
	if _, err := v.NewClient(s.Auth.ClientToken).Auth().Token().RenewSelf(60); err != nil {
		t.Error(err)
	}
	if _, err := v.NewClient("").Logical().Write("auth/jwt/login", map[string]any{"jwt": text[:len(text)-2]}); err == nil {
		t.Error("a broken signature logs in")
	}
}
