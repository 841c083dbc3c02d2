package vault_test

import (
	"context"
	"encoding/json"
	"os"
	"testing"

	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/providertest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault"
	"github.com/strongkeep/strongkeep/internal/redact"
	"github.com/strongkeep/strongkeep/internal/testenv"
)

// root is a Kubernetes whose every Secret holds one token.
type root struct{ token redact.Secret }

func (r root) SecretKey(context.Context, provider.Ref, string) (redact.Secret, error) {
	return r.token, nil
}

func (root) ConfigMapKey(context.Context, provider.Ref, string) (string, error) { return "", nil }

func (root) ServiceAccountToken(context.Context, provider.Ref, []string) (redact.Secret, error) {
	return redact.Secret{}, nil
}

func (root) ServiceAccountAnnotations(context.Context, provider.Ref) (map[string]string, error) {
	return nil, nil
}

// The suite of writes against the vault itself.
func TestWriterOfTheVault(t *testing.T) {
	v := testenv.Start(t, nil)
	ca, err := os.ReadFile(v.Server.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	for path, version := range map[string]string{"secret": "2", "kv1": "1"} {
		if _, err := v.Logical().Write("sys/mounts/"+path, map[string]any{"type": "kv", "options": map[string]any{"version": version}}); err != nil {
			t.Fatal(err)
		}
		settings := map[string]any{
			"server": v.Address(), "caBundle": ca, "path": path, "version": "v" + version, "auth": map[string]any{"tokenSecretRef": map[string]any{"name": "vault", "key": "token"}},
		}
		put := func(key, value string) {
			var data map[string]any
			if err := json.Unmarshal([]byte(value), &data); err != nil {
				t.Fatal(err)
			}
			at, body := path+"/"+key, data
			if version == "2" {
				at, body = path+"/data/"+key, map[string]any{"data": data}
			}
			if _, err := v.Logical().Write(at, body); err != nil {
				t.Fatal(err)
			}
		}
		// Outages and crossing writes are the test server's.
		w := providertest.Writing{Objects: true, Put: put}
		if version == "1" {
			w.Lossy, w.Mark = true, "custom_metadata"
		}
		if version == "2" {
			w.Versions = func(key string) int {
				about, err := v.Logical().Read(path + "/metadata/" + key)
				if err != nil || about == nil {
					return 0
				}
				n, err := about.Data["current_version"].(json.Number).Int64()
				if err != nil {
					t.Error(err)
				}
				return int(n)
			}
		}
		t.Run(path, func(t *testing.T) {
			providertest.RunWriter(t, providertest.Harness{Provider: vault.Provider{}, Cluster: root{redact.FromString(v.Root)}, Settings: settings}, w)
		})
	}
}
