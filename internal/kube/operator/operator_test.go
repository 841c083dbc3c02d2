package operator

import (
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// store is a SecretStore on the test's vault with a token from a Secret.
const store = `
apiVersion: v1
kind: Secret
metadata: {name: vault-token}
stringData: {token: root}
---
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: vault}
spec:
  provider:
    vault:
      server: VAULT
      path: secret
      auth: {tokenSecretRef: {name: vault-token, key: token}}
---
`

// The manifest of seed 002, as it stands in examples/, changed only in the
// server's address: v1beta1, a key with mount and "data/", no property.
func TestExampleManifest(t *testing.T) {
	w := newWorld(t)
	w.vault.Put("my-app/config", `{"user":"app","password":"`+canary+`","html":"<&>"}`)
	w.start(nil)
	raw, err := os.ReadFile("../../../examples/operator/my-app.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w.apply(strings.ReplaceAll(string(raw), "https://strongkeep.example:8200", "VAULT"))
	es := w.es("my-app-secrets", v1.ReasonSecretSynced, "")
	s := w.secret("my-app-secrets", map[string]string{"config": `{"html":"<&>","password":"` + canary + `","user":"app"}`})

	if s.Labels[target.LabelManaged] != "true" || s.Labels[target.LabelCreatedBy] != target.CreatedBy(w.ns, "my-app-secrets") {
		t.Errorf("labels %v", s.Labels)
	}
	if c := metav1.GetControllerOf(s); c == nil || c.UID != es.UID || c.APIVersion != "external-secrets.io/v1" {
		t.Errorf("owner %+v", c)
	}
	if s.Type != corev1.SecretTypeOpaque || s.Annotations[target.AnnotationMark] == "" {
		t.Errorf("type %s, annotations %v", s.Type, s.Annotations)
	}
	if es.Status.Binding.Name != "my-app-secrets" || es.Status.RefreshTime.IsZero() || !strings.HasPrefix(es.Status.SyncedResourceVersion, "1-") {
		t.Errorf("status %+v", es.Status)
	}
	if n := w.vault.Count("auth/kubernetes/login"); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
	out := w.kubectl("get", "es")
	for _, want := range []string{"STORETYPE", "vault-backend", "SecretSynced", "True", "LAST SYNC"} {
		if !strings.Contains(out, want) {
			t.Errorf("kubectl get es lacks %q:\n%s", want, out)
		}
	}
	if out := w.kubectl("get", "externalsecrets.v1beta1.external-secrets.io", "my-app-secrets", "-o", "jsonpath={.apiVersion}"); out != "external-secrets.io/v1beta1" {
		t.Errorf("read as v1beta1 it is %q", out)
	}
}
