package invault

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault/auth"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

// store is a vault as a SecretStore reaches it.
type store struct {
	provider.Caller
	provider.Locator
}

// Open returns v with the token given, which is given up at the test's end.
func Open(t testing.TB, v *testenv.Vault, token string) target.Vault {
	t.Helper()
	settings := vault.Settings{Server: v.Server.URL(), Path: "secret", Auth: &auth.Auth{TokenSecretRef: &v1.SecretKeySelector{Name: "token", Key: "token"}}}
	if file := v.Server.CAFile(); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		settings.CABundle = pem
	}
	raw, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	none := 0
	opened, err := vault.Provider{}.Open(t.Context(), provider.Config{
		Scope:    provider.ScopeOf(&v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "vault"}}),
		Settings: raw, Retry: provider.Retry{Max: &none}, Cluster: cluster(token), Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return store{opened.(provider.Caller), opened.(provider.Locator)}
}

// cluster has the one token.
type cluster string

func (c cluster) SecretKey(context.Context, provider.Ref, string) (redact.Secret, error) {
	return redact.FromString(string(c)), nil
}
func (cluster) ConfigMapKey(context.Context, provider.Ref, string) (string, error) { return "", nil }
func (cluster) ServiceAccountToken(context.Context, provider.Ref, []string) (redact.Secret, error) {
	return redact.Secret{}, nil
}
func (cluster) ServiceAccountAnnotations(context.Context, provider.Ref) (map[string]string, error) {
	return nil, nil
}
