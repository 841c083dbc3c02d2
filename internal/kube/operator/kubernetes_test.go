package operator

import (
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
)

// example returns an example of docs/stores, with pairs of texts replaced.
func example(t *testing.T, name string, pairs ...string) string {
	t.Helper()
	text, err := os.ReadFile("../../../examples/stores/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(string(text), pairs[i]) {
			t.Fatalf("%s does not say %q", name, pairs[i])
		}
	}
	return strings.NewReplacer(pairs...).Replace(string(text))
}

// another makes one more namespace.
func (w *world) another() string {
	w.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "t-"}}
	if err := testClient.Create(w.Context(), ns); err != nil {
		w.Fatal(err)
	}
	return ns.Name
}

// The examples of docs/stores/kubernetes.md for another namespace: nothing is read
// before its owners allow it, and then by an account of the reader's.
func TestKubernetesNamespace(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	shared := w.another()
	for name, data := range map[string]map[string][]byte{
		"postgres": {"password": []byte(canary)}, "shop-mode": {"mode": []byte("fast")}, "shop-other": {"k": []byte(canary)},
	} {
		s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: shared, Name: name}, Data: data}
		if name == "shop-mode" {
			s.Labels = map[string]string{"team": "shop"}
		}
		if err := testClient.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	manifest := example(t, "kubernetes-namespace.yaml", "remoteNamespace: shared", "remoteNamespace: "+shared)
	w.apply(manifest)
	w.storeReady("shared-secrets", v1.ReasonValidationFailed, "may not get Secrets in namespace")
	w.es("shop-db", v1.ReasonSecretSyncedError, "secrets-reader")
	if err := apiserver.Apply(t.Context(), testClient, shared, example(t, "kubernetes-grant.yaml", "namespace: shop", "namespace: "+w.ns)); err != nil {
		t.Fatal(err)
	}
	w.apply(strings.Replace(manifest, "  provider:", "  refreshInterval: 60\n  provider:", 1)) // an edited store is looked at again at once
	w.secret("shop-db", map[string]string{"password": canary})
	w.secret("shop-settings", map[string]string{"shop-mode": `{"mode":"fast"}`})
	w.storeReady("shared-secrets", v1.ReasonStoreValid, "")
	w.apply(strings.Replace(es("absent", "  data: [{secretKey: k, remoteRef: {key: absent}}]"), "{name: vault}", "{name: shared-secrets}", 1))
	w.es("absent", v1.ReasonSecretSyncedError, `"absent"`)
}

// The example for another cluster: a Secret is pushed with its type, and deleted.
func TestKubernetesCluster(t *testing.T) {
	w := newWorld(t)
	w.start(nil)
	shop := w.another()
	meta := metav1.ObjectMeta{Namespace: shop, Name: "east"}
	for _, o := range []client.Object{
		&corev1.ServiceAccount{ObjectMeta: meta},
		&rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "create", "update", "delete"}}}},
		&rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: "east"}, Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: shop, Name: "east"}}},
	} {
		if err := testClient.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	w.kubeconfig("east", shop, "east")
	w.apply(example(t, "kubernetes-cluster.yaml", "remoteNamespace: shop", "remoteNamespace: "+shop, "your-certificate", canary+"-cert", "your-key", canary+"-key"))
	w.storeReady("east", v1.ReasonStoreValid, "")
	w.pushed("shop-tls", v1alpha1.ReasonSynced, "")
	var s corev1.Secret
	if err := testClient.Get(t.Context(), client.ObjectKey{Namespace: shop, Name: "shop-tls"}, &s); err != nil {
		t.Fatal(err)
	}
	if string(s.Data["tls.key"]) != canary+"-key" || s.Type != corev1.SecretTypeTLS || s.Labels["team"] != "shop" || s.Labels["managed-by"] != "external-secrets" {
		t.Errorf("%s %v with %d keys", s.Type, s.Labels, len(s.Data))
	}
	w.remove(&v1alpha1.PushSecret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "shop-tls"}})
	w.until("the Secret is deleted there", func() bool {
		return apierrors.IsNotFound(testClient.Get(t.Context(), client.ObjectKeyFromObject(&s), &s))
	})
}

// kubeconfig puts one for a ServiceAccount into a Secret, as kubectl config view
// --flatten writes it.
func (w *world) kubeconfig(secret, namespace, account string) {
	w.Helper()
	file, err := testCluster.ServiceAccountKubeconfig(w.Context(), namespace, account)
	if err != nil {
		w.Fatal(err)
	}
	flat, err := testCluster.Kubectl(w.Context(), nil, "--kubeconfig", file, "config", "view", "--raw", "--minify", "--flatten")
	if err != nil {
		w.Fatal(err)
	}
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: secret}, Data: map[string][]byte{"kubeconfig": flat}}
	if err := testClient.Create(w.Context(), s); err != nil {
		w.Fatal(err)
	}
}
