package drill_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/operator"
	"github.com/strongkeep/strongkeep/internal/kube/operator/operatortest"
	"github.com/strongkeep/strongkeep/internal/kube/operator/rotation"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault/vaulttest"
	"github.com/strongkeep/strongkeep/internal/kube/rollout/rollouttest"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
	"github.com/strongkeep/strongkeep/internal/testenv/buffer"
	"github.com/strongkeep/strongkeep/test/cluster"
)

// A real API server with the controllers that make pods; the node is played, the
// operator is the whole one.
var (
	testCluster *cluster.Cluster
	testREST    *rest.Config
	testClient  client.WithWatch
)

func TestMain(m *testing.M) {
	os.Exit(apiserver.Main(apiserver.Config{
		Schemes: []func(*runtime.Scheme) error{rotation.AddToScheme, eventsv1.AddToScheme},
	}, func(s *apiserver.Server) (code int, err error) {
		testCluster, testREST, testClient = s.Cluster, s.REST, s.Client
		kubelet, err := rollouttest.Start(context.Background(), testClient)
		if err != nil {
			return 1, err
		}
		defer func() { err = errors.Join(err, kubelet.Close()) }()
		return m.Run(), nil
	}))
}

// canary stands in every secret value of these tests.
const canary = "canary-7d1c"

// world is one test's namespace, vault and operator.
type world struct {
	*testing.T
	ns    string
	vault *vaulttest.Server
	log   *buffer.Buffer
	at    operator.Addresses
}

// newWorld makes a namespace that allows drills, with Deployment web, of two
// pods, and its ExternalSecret db.
func newWorld(t *testing.T) *world {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "t-", Labels: map[string]string{v1alpha1.LabelDrills: v1alpha1.DrillsAllowed}}}
	if err := testClient.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, ns: ns.Name, vault: vaulttest.New().Start(t), log: new(buffer.Buffer)}
	t.Cleanup(w.end)
	w.vault.Put("app", `{"user":"web","password":"`+canary+`-1"}`)
	w.apply(base)
	return w
}

const base = `
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
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: db}
spec:
  secretStoreRef: {name: vault}
  dataFrom: [{extract: {key: app}}]
---
` + web

const web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: c, image: c, envFrom: [{secretRef: {name: db}}]}]
---
`

// start runs an operator that has drills, and nothing of rotation, until the test
// ends or stop is called. Then it is gone, with all that it knew.
func (w *world) start(change func(*operator.Config)) (stop func()) {
	w.Helper()
	cfg := operator.Config{
		Providers: map[string]provider.Provider{vault.Name: vault.Provider{}},
		REST:      testREST, Namespaces: []string{w.ns}, OwnNamespace: w.ns, NoRotation: true, NoReload: true, NoClusterStores: true, Drills: true,
		MetricsAddr: "127.0.0.1:0", HealthAddr: "127.0.0.1:0",
		Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&cfg)
	}
	w.at, stop = operatortest.Start(w, cfg)
	return stop
}

// ready waits until the workload runs on its Secret.
func (w *world) ready() {
	w.Helper()
	w.right()
	w.await("two pods are ready", func() bool { return len(w.pods(true)) == 2 })
}

func (w *world) pods(ready bool) []corev1.Pod {
	w.Helper()
	var list, out corev1.PodList
	if err := testClient.List(w.Context(), &list, client.InNamespace(w.ns), client.MatchingLabels{"app": "web"}); err != nil {
		w.Fatal(err)
	}
	for _, p := range list.Items {
		is := false
		for _, c := range p.Status.Conditions {
			is = is || c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		}
		if is == ready && p.DeletionTimestamp == nil {
			out.Items = append(out.Items, p)
		}
	}
	return out.Items
}

// apply creates or replaces the objects in a YAML text, in the test's namespace.
func (w *world) apply(text string) {
	w.Helper()
	if err := apiserver.Apply(w.Context(), testClient, w.ns, strings.ReplaceAll(text, "VAULT", w.vault.URL)); err != nil {
		w.Fatal(err)
	}
}

// delete deletes the objects in a YAML text.
func (w *world) delete(text string) {
	w.Helper()
	if _, err := testCluster.Kubectl(w.Context(), strings.NewReader(strings.ReplaceAll(text, "VAULT", w.vault.URL)), "delete", "-n", w.ns, "--timeout=60s", "-f", "-"); err != nil {
		w.Fatalf("kubectl delete: %v", err)
	}
}

func (w *world) kubectl(args ...string) string {
	w.Helper()
	out, err := testCluster.Kubectl(w.Context(), nil, append([]string{"-n", w.ns}, args...)...)
	if err != nil {
		w.Fatalf("kubectl %v: %v", args, err)
	}
	return string(out)
}

// drill makes a Drill on Deployment web; more is further YAML of its spec.
func (w *world) drill(name, failure, duration, more string) {
	w.Helper()
	w.apply(fmt.Sprintf("apiVersion: strongkeep.io/v1alpha1\nkind: Drill\nmetadata: {name: %s}\nspec: {workload: {kind: Deployment, name: web}, failure: %s, duration: %s%s}\n", name, failure, duration, more))
}

// await waits for f. The limit is for a machine that is busy with other things.
func (w *world) await(what string, f func() bool) {
	w.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(4 * time.Minute)
	for !f() {
		select {
		case <-tick.C:
		case <-limit:
			w.Fatalf("waited in vain: %s", what)
		}
	}
}

// phase waits until a Drill is in a phase for a reason; any when that is empty.
func (w *world) phase(name string, phase v1alpha1.DrillPhase, reason string) *v1alpha1.Drill {
	w.Helper()
	d := &v1alpha1.Drill{}
	w.await(fmt.Sprintf("Drill %s %s %s", name, phase, reason), func() bool {
		w.get(name, d)
		if d.Ends() && d.Status.Phase != phase {
			w.Fatalf("Drill %s ended: %+v", name, d.Status)
		}
		return d.Status.Phase == phase && (reason == "" || d.Status.Reason == reason)
	})
	return d
}

func (w *world) get(name string, o client.Object) bool {
	w.Helper()
	err := testClient.Get(w.Context(), types.NamespacedName{Namespace: w.ns, Name: name}, o)
	if err != nil && !apierrors.IsNotFound(err) {
		w.Fatal(err)
	}
	return err == nil
}

func (w *world) secret(name string) *corev1.Secret {
	w.Helper()
	s := &corev1.Secret{}
	w.get(name, s)
	return s
}

// right waits until the Secret is what the vault says, and its ExternalSecret ready.
func (w *world) right() {
	w.Helper()
	w.await("Secret db is right", func() bool {
		s := w.secret("db")
		var es v1.ExternalSecret
		w.get("db", &es)
		return strings.HasPrefix(string(s.Data["password"]), canary) && string(s.Data["user"]) == "web" && s.Annotations[v1alpha1.AnnotationDrill] == "" &&
			strings.Contains(s.Annotations["strongkeep.io/versions"], "/secret/data/app") && v1.IsReady(es.Status.Conditions)
	})
}

// wrong waits until the Secret holds the wrong values of a drill.
func (w *world) wrong(drill string) {
	w.Helper()
	w.await("Secret db is wrong", func() bool {
		s := w.secret("db")
		return strings.HasPrefix(string(s.Data["password"]), "strongkeep-drill-") && s.Annotations[v1alpha1.AnnotationDrill] == drill
	})
}

// metric returns the line of /metrics that begins with a name.
func (w *world) metric(name string) string {
	w.Helper()
	answer, err := http.Get("http://" + w.at.Metrics + "/metrics")
	if err != nil {
		w.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		w.Fatal(err)
	}
	if strings.Contains(string(text), canary) {
		w.Error("a secret value is in a metric")
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, name) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// end looks for secret values where people may read, and takes objects away that
// operators of other tests would meet.
func (w *world) end() {
	ctx := context.WithoutCancel(w.Context())
	for _, kind := range []string{"drills", "externalsecrets", "secretstores", "events", "deployments", "pods"} {
		out, err := testCluster.Kubectl(ctx, nil, "get", "-n", w.ns, kind, "-o", "yaml")
		if err != nil {
			w.Error(err)
		}
		if strings.Contains(string(out), canary) {
			w.Errorf("a secret value is in %s", kind)
		}
	}
	if strings.Contains(w.log.String(), canary) {
		w.Error("a secret value is in the log")
	}
	if w.Failed() {
		w.Logf("log of the operator:\n%s", strings.ReplaceAll(w.log.String(), canary, "CANARY"))
	}
	if _, err := testCluster.Kubectl(ctx, nil, "delete", "namespace", w.ns, "--wait=false"); err != nil {
		w.Error(err)
	}
}
