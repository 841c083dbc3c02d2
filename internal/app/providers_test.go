package app

import (
	"log/slog"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
)

// A store of OpenBao is one of Vault under another name.
func TestOpenBao(t *testing.T) {
	all := providers(provider.Ambient(""), outbound.Config{}, &rest.Config{})
	for _, name := range []string{"vault", "openBao"} {
		p, ok := all[name]
		if !ok {
			t.Fatalf("there is no provider %s", name)
		}
		st, err := p.Open(t.Context(), provider.Config{
			Scope:    provider.ScopeOf(&v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "bao"}}),
			Settings: []byte(`{"server":"https://bao.example:8200","path":"secret","auth":{"tokenSecretRef":{"name":"bao","key":"token"}}}`),
			Clock:    clock.RealClock{}, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if l, ok := st.(provider.Locator); !ok || l.Locate("secret/data/app") != "bao.example:8200/secret/data/app" {
			t.Errorf("%s: %T does not say where its secrets are", name, st)
		}
		if err := st.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
