package rotation_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/api/crds"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/operator"
	"github.com/strongkeep/strongkeep/internal/kube/operator/operatortest"
	"github.com/strongkeep/strongkeep/internal/kube/operator/rbac"
	"github.com/strongkeep/strongkeep/internal/kube/operator/rotation"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	vaultprovider "github.com/strongkeep/strongkeep/internal/kube/provider/vault"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
	"github.com/strongkeep/strongkeep/internal/kube/rollout/rollouttest"
	"github.com/strongkeep/strongkeep/test/cluster"
)

// far is another cluster, with an operator of its own that knows nothing of
// Rotations, and the same application as ours.
type far struct {
	*world
	cluster *cluster.Cluster
	rest    *rest.Config
	client  client.WithWatch
	server  string // of the vault, as it is called there
}

func newFar(w *world) *far {
	w.Helper()
	f := &far{world: w}
	var err error
	if f.cluster, err = cluster.Start(w.Context(), cluster.Config{Log: os.Stderr}); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := f.cluster.Stop(); err != nil {
			w.Error(err)
		}
	})
	if f.rest, err = clientcmd.BuildConfigFromFlags("", f.cluster.Kubeconfig()); err != nil {
		w.Fatal(err)
	}
	f.rest.QPS = -1
	scheme := runtime.NewScheme()
	if err := errors.Join(rotation.AddToScheme(scheme), apiextensionsv1.AddToScheme(scheme), rbacv1.AddToScheme(scheme)); err != nil {
		w.Fatal(err)
	}
	if f.client, err = client.NewWithWatch(f.rest, client.Options{Scheme: scheme}); err != nil {
		w.Fatal(err)
	}
	kubelet, err := rollouttest.Start(w.Context(), f.client)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		if err := kubelet.Close(); err != nil {
			w.Error(err)
		}
	})
	f.install()
	f.serveVault()
	f.run()
	return f
}

func (f *far) create(o client.Object) {
	f.Helper()
	if err := f.client.Create(f.Context(), o); err != nil {
		f.Fatal(err)
	}
}

// install has the cluster's kinds, and the role of deploy/cluster/remote.yaml.
func (f *far) install() {
	f.Helper()
	all, err := crds.All()
	if err != nil {
		f.Fatal(err)
	}
	for _, raw := range all {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(raw, crd); err != nil {
			f.Fatal(err)
		}
		if strings.HasPrefix(crd.Spec.Names.Kind, "Rotation") {
			continue // nothing is rotated there
		}
		f.create(crd)
	}
	out, err := f.cluster.Kubectl(f.Context(), nil, "apply", "-f", "../../../../deploy/cluster/remote.yaml")
	if err != nil {
		f.Fatalf("%v\n%s", err, out)
	}
	f.create(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: f.ns}})
}

// serveVault makes the vault reachable by another address, as it is from another
// cluster.
func (f *far) serveVault() {
	f.Helper()
	to, err := url.Parse(f.vault.Server.URL())
	if err != nil {
		f.Fatal(err)
	}
	f.server = "https://localhost:" + to.Port()
	ca, err := os.ReadFile(f.vault.Server.CAFile())
	if err != nil {
		f.Fatal(err)
	}
	f.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: f.ns, Name: "vault-ca"}, Data: map[string]string{"ca.crt": string(ca)}})
	f.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.ns, Name: "vault-token"}, StringData: map[string]string{"token": f.vault.Policy("far-"+f.ns, operatorPolicy)}})
	text, _, _ := strings.Cut(strings.NewReplacer("VAULT", f.server).Replace(objects), "apiVersion: strongkeep.io/v1alpha1")
	if out, err := f.cluster.Kubectl(f.Context(), strings.NewReader(strings.TrimSuffix(text, "---\n")), "apply", "-n", f.ns, "-f", "-"); err != nil {
		f.Fatalf("%v\n%s", err, out)
	}
}

func (f *far) run() {
	f.Helper()
	operatortest.Start(f, operator.Config{
		Providers: map[string]provider.Provider{vaultprovider.Name: vaultprovider.Provider{}},
		REST:      f.rest, Namespaces: []string{f.ns}, OwnNamespace: f.ns, NoClusterStores: true,
		MetricsAddr: "127.0.0.1:0", HealthAddr: "127.0.0.1:0", Log: slog.New(slog.DiscardHandler),
	})
}

// kubeconfig logs in as the ServiceAccount of deploy/cluster/remote.yaml, with a
// new token, at host.
func (f *far) kubeconfig(host string) string {
	f.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "strongkeep-system", Name: rbac.RemoteName}}
	req := &authenticationv1.TokenRequest{}
	if err := f.client.SubResource("token").Create(f.Context(), account, req); err != nil {
		f.Fatal(err)
	}
	raw, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "east",
		"clusters": []any{map[string]any{"name": "east", "cluster": map[string]any{"server": host, "certificate-authority-data": f.rest.CAData}}},
		"users":    []any{map[string]any{"name": "east", "user": map[string]any{"token": req.Status.Token}}},
		"contexts": []any{map[string]any{"name": "east", "context": map[string]any{"cluster": "east", "user": "east"}}},
	})
	if err != nil {
		f.Fatal(err)
	}
	return string(raw)
}

// reach has the Secret with the kubeconfig, and the Rotation look at once.
func (f *far) reach(kubeconfig string) {
	f.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.ns, Name: "east"}}
	err := testClient.Get(f.Context(), client.ObjectKeyFromObject(s), s)
	s.Data = map[string][]byte{"kubeconfig": []byte(kubeconfig)}
	if err == nil {
		err = testClient.Update(f.Context(), s)
	} else {
		err = testClient.Create(f.Context(), s)
	}
	if err != nil {
		f.Fatal(err)
	}
	f.ask("test/look", fmt.Sprint(time.Now().UnixNano()))
}

func (f *far) deployment() *appsv1.Deployment {
	f.Helper()
	d := &appsv1.Deployment{}
	if err := f.client.Get(f.Context(), types.NamespacedName{Namespace: f.ns, Name: "web"}, d); err != nil {
		f.Fatal(err)
	}
	return d
}

// settled waits until the application runs there, on what its operator has read.
func (f *far) settled() {
	f.Helper()
	err := wait.PollUntilContextTimeout(f.Context(), 50*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) {
		d := f.deployment()
		return d.Status.ObservedGeneration == d.Generation && d.Status.AvailableReplicas == 2, nil
	})
	if err != nil {
		f.Fatal("the other Deployment does not run")
	}
}

// Consumers of another cluster are found, restarted and proven as ours are, with
// the rights of deploy/cluster/remote.yaml and no more. While that cluster cannot
// be asked nothing is published, and the turn says why.
func TestOtherCluster(t *testing.T) {
	w := newWorld(t)
	f := newFar(w)
	w.start(nil)
	w.settled()
	f.settled()
	w.consumersThere(f.server)
	w.ask(v1alpha1.AnnotationRotate, "first")
	held := w.rotation("held", func(rot *v1alpha1.Rotation) bool { return rot.Status.Phase == v1alpha1.PhaseHeld })
	if s := &held.Status; s.HeldFor != "ClusterUnreached" || s.HeldFrom != v1alpha1.PhaseStaged || !strings.Contains(s.HeldMessage, `east: Secret "`+w.ns+`/east" with its kubeconfig does not exist`) {
		t.Errorf("held for %s from %s: %s", s.HeldFor, s.HeldFrom, s.HeldMessage)
	}
	f.reach(f.kubeconfig(f.rest.Host))
	f.proven(1)

	// The kubeconfig is another one for the next turn: what it was does not count.
	f.reach("not one")
	w.ask(v1alpha1.AnnotationRotate, "second")
	w.rotation("held for a bad kubeconfig", func(rot *v1alpha1.Rotation) bool {
		return rot.Status.Turn == 2 && rot.Status.HeldFor == "ClusterUnreached" && strings.Contains(rot.Status.HeldMessage, "the kubeconfig is not one")
	})
	f.reach(f.kubeconfig(f.rest.Host))
	f.proven(2)

	// Nobody answers there: the turn waits where it is, and says for whom.
	closed := httptest.NewTLSServer(nil)
	closed.Close()
	f.reach(f.kubeconfig(closed.URL))
	w.ask(v1alpha1.AnnotationRotate, "third")
	w.rotation("waiting for a cluster", func(rot *v1alpha1.Rotation) bool {
		c := meta.FindStatusCondition(rot.Status.Conditions, v1alpha1.ConditionProgressing)
		return rot.Status.Turn == 3 && rot.Status.Phase == v1alpha1.PhaseStaged && c != nil && c.Reason == "NotObserved" && strings.Contains(c.Message, "cluster east")
	})
	f.reach(f.kubeconfig(f.rest.Host))
	f.proven(3)
	w.leaks()
}

// consumersThere names the other cluster in the Rotation.
func (w *world) consumersThere(server string) {
	w.Helper()
	rot := &v1alpha1.Rotation{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "db"}}
	patch := fmt.Sprintf(`{"spec":{"consumers":{"clusters":[{"name":"east","kubeconfigSecret":"east","servers":[%q]}]}}}`, server)
	if err := testClient.Patch(w.Context(), rot, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		w.Fatal(err)
	}
}

// proven waits until a turn has ended, and looks at what is proven of whom.
func (f *far) proven(turn int64) {
	f.Helper()
	rot := f.done(turn)
	s := &rot.Status
	if s.Proof.Pods != 4 || s.Proof.PodsProven != 4 || s.Proof.Secrets != 2 || s.Proof.SecretsConfirmed != 2 || s.Proof.Workloads != 2 || !s.Proof.Complete {
		f.Errorf("turn %d: proof %+v", turn, s.Proof)
	}
	there := 0
	for _, e := range s.Proof.Evidence {
		if e.Cluster == "east" && e.Proven && strings.HasPrefix(e.Workload, "Deployment/") {
			there++
		}
	}
	if there != 2 {
		f.Errorf("turn %d: %d pods are proven there: %+v", turn, there, s.Proof.Evidence)
	}
	stored, err := f.vault.Logical().ReadWithContext(f.Context(), s.Statement)
	if err != nil || stored == nil || !strings.Contains(fmt.Sprint(stored.Data), "east") {
		f.Errorf("turn %d: the statement names no consumer there: %v (%v)", turn, stored, err)
	}
	if stamp := rollout.ParseStamp(f.deployment().Spec.Template.Annotations[rollout.AnnotationStamp]); stamp["secret/db"] == "" {
		f.Errorf("turn %d: the other Deployment was not restarted", turn)
	}
	var own appsv1.Deployment
	f.get(&own, "web")
	if here := rollout.ParseStamp(own.Spec.Template.Annotations[rollout.AnnotationStamp]); here["secret/db"] == rollout.ParseStamp(f.deployment().Spec.Template.Annotations[rollout.AnnotationStamp])["secret/db"] {
		f.Errorf("turn %d: stamps of both clusters are of one key", turn)
	}
}
