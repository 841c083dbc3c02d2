package rotation_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	vault "github.com/hashicorp/vault/api"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/operator"
	"github.com/strongkeep/strongkeep/internal/kube/operator/operatortest"
	"github.com/strongkeep/strongkeep/internal/kube/operator/rbac"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	vaultprovider "github.com/strongkeep/strongkeep/internal/kube/provider/vault"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/database"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
	"github.com/strongkeep/strongkeep/internal/testenv"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
	"github.com/strongkeep/strongkeep/internal/testenv/buffer"
	"github.com/strongkeep/strongkeep/internal/testenv/dbtest"
)

// world is a PostgreSQL, the vault in this process, and a namespace with an
// application whose Deployment takes the credential from its environment.
type world struct {
	*testing.T
	ns    string
	vault *testenv.Vault
	log   *buffer.Buffer
	at    operator.Addresses
	pg    *dbtest.Server
}

const operatorPolicy = `
path "database/alternating-creds/*" { capabilities = ["read"] }
path "database/alternating-roles/*" { capabilities = ["read", "update"] }
path "database/alternating-staged/*" { capabilities = ["read"] }
path "evidence/statements/*" { capabilities = ["create", "read"] }
path "sys/events/subscribe/*" { capabilities = ["read"] }
`

func newWorld(t *testing.T) *world {
	t.Helper()
	pg := dbtest.PostgreSQL(t)
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "t-"}}
	if err := testClient.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, ns: ns.Name, log: new(buffer.Buffer), vault: testenv.Start(t, nil), pg: pg}
	for _, engine := range []string{"database", "evidence"} {
		if err := w.vault.Sys().Mount(engine, &vault.MountInput{Type: engine}); err != nil {
			t.Fatal(err)
		}
	}
	w.write("database/config/db", map[string]any{
		"plugin_name": "postgresql-database-plugin", "connection_url": pg.URL("{{username}}", "{{password}}"),
		"username": pg.User, "password": pg.Password, "allowed_roles": "*",
	})
	users := strings.ReplaceAll(w.ns, "-", "_")
	w.write("database/alternating-roles/app", map[string]any{
		"db_name": "db", "usernames": users + "_a," + users + "_b", "creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'`,
	})
	ca, err := os.ReadFile(w.vault.Server.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	w.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "vault-ca"}, Data: map[string]string{"ca.crt": string(ca)}})
	w.create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "vault-token"}, StringData: map[string]string{"token": w.vault.Policy("operator-"+w.ns, operatorPolicy)}})
	w.apply(strings.NewReplacer("VAULT", w.vault.Server.URL()).Replace(objects))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the operator's log:\n%s", w.log)
		}
	})
	return w
}

const feed = `apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: db}
spec:
  refreshInterval: 1h
  secretStoreRef: {name: vault}
  data:
  - {secretKey: username, remoteRef: {key: alternating-creds/app, property: username}}
  - {secretKey: password, remoteRef: {key: alternating-creds/app, property: password}}
`

const objects = `
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: vault}
spec:
  provider:
    vault:
      server: VAULT
      path: database
      version: v1
      caProvider: {type: ConfigMap, name: vault-ca, key: ca.crt}
      auth: {tokenSecretRef: {name: vault-token, key: token}}
---
` + feed + `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: web
        image: web
        env:
        - {name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}
---
apiVersion: strongkeep.io/v1alpha1
kind: Rotation
metadata: {name: db}
spec:
  target: {storeRef: {name: vault}, database: {role: app}}
  overlap: {watch: 1s}
  proof: {clients: Ignored} # tests read it themselves
---
`

func (w *world) write(path string, body map[string]any) {
	w.Helper()
	if _, err := w.vault.Logical().WriteWithContext(w.Context(), path, body); err != nil {
		w.Fatal(err)
	}
}

func (w *world) create(o client.Object) {
	w.Helper()
	o.SetNamespace(w.ns)
	if err := testClient.Create(w.Context(), o); err != nil {
		w.Fatal(err)
	}
}

func (w *world) apply(text string) {
	w.Helper()
	if err := apiserver.Apply(w.Context(), testClient, w.ns, text); err != nil {
		w.Fatal(err)
	}
}

// start runs an operator for the namespace until the test ends or stop is called.
func (w *world) start(change func(*operator.Config)) (stop func()) {
	w.Helper()
	cfg := operator.Config{
		Providers:  map[string]provider.Provider{vaultprovider.Name: vaultprovider.Provider{}},
		Targets:    map[string]target.Kind{"database": database.Kind{}},
		Namespaces: []string{w.ns}, OwnNamespace: w.ns, NoClusterStores: true, NoPush: true,
		MetricsAddr: "127.0.0.1:0", HealthAddr: "127.0.0.1:0", Outbound: outbound.Config{Loopback: true},
		Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelInfo})),
	}
	if change != nil {
		change(&cfg)
	}
	if cfg.REST == nil {
		cfg.REST = w.rest()
	}
	w.at, stop = operatortest.Start(w, cfg)
	return stop
}

// rest has the permissions of package rbac for the namespace, and no more: those
// of Rotations with shadow pods, if none are given.
func (w *world) rest(given ...rbac.Options) *rest.Config {
	w.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", testCluster.Kubeconfig())
	if err != nil {
		w.Fatal(err)
	}
	o := rbac.Options{Name: w.ns, Namespace: w.ns, Namespaces: []string{w.ns}, Rotation: true, RehearsalPods: true}
	if len(given) > 0 {
		o = given[0]
	}
	objects := rbac.Objects(o)
	for _, o := range objects {
		if err := testClient.Create(w.Context(), o.(client.Object)); client.IgnoreAlreadyExists(err) != nil {
			w.Fatal(err)
		}
	}
	as := rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + w.ns + ":" + w.ns, Groups: []string{"system:serviceaccounts", "system:authenticated"},
	}
	if err := apiserver.InForce(w.Context(), cfg, as, objects); err != nil {
		w.Fatal(err)
	}
	cfg.Impersonate = as
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return refusals{next, w} })
	return cfg
}

// refusals fails the test when a permission is missing.
type refusals struct {
	next http.RoundTripper
	w    *world
}

func (r refusals) RoundTrip(req *http.Request) (*http.Response, error) {
	answer, err := r.next.RoundTrip(req)
	if err == nil && answer.StatusCode == http.StatusForbidden {
		r.w.Errorf("refused: %s %s", req.Method, req.URL.Path)
	}
	return answer, err
}

// leaks greps what people may read for the password that readers are given.
func (w *world) leaks() {
	w.Helper()
	s, err := w.vault.Logical().ReadWithContext(w.Context(), "database/alternating-creds/app")
	if err != nil {
		w.Fatal(err)
	}
	password, _ := s.Data["password"].(string)
	rot := &v1alpha1.Rotation{}
	w.get(rot, "db")
	var events eventsv1.EventList
	if err := testClient.List(w.Context(), &events, client.InNamespace(w.ns)); err != nil {
		w.Fatal(err)
	}
	answer, err := http.Get("http://" + w.at.Metrics + "/metrics")
	if err != nil {
		w.Fatal(err)
	}
	defer answer.Body.Close()
	metrics, err := io.ReadAll(answer.Body)
	if err != nil {
		w.Fatal(err)
	}
	if !strings.Contains(string(metrics), `strongkeep_rotation_phase{name="db",namespace="`+w.ns+`"`) {
		w.Error("the Rotation is not in the metrics")
	}
	for where, text := range map[string]string{
		"object": fmt.Sprintf("%+v", rot), "events": fmt.Sprintf("%+v", events.Items), "log": w.log.String(), "metrics": string(metrics),
	} {
		if password == "" || strings.Contains(text, password) {
			w.Errorf("a password is in the %s", where)
		}
	}
}

func (w *world) get(o client.Object, name string) {
	w.Helper()
	if err := testClient.Get(w.Context(), types.NamespacedName{Namespace: w.ns, Name: name}, o); err != nil {
		w.Fatal(err)
	}
}

// rotation waits until f holds for the Rotation db.
func (w *world) rotation(what string, f func(*v1alpha1.Rotation) bool) *v1alpha1.Rotation {
	w.Helper()
	return w.await("db", what, f)
}

// await waits until f holds for the Rotation of that name.
func (w *world) await(name, what string, f func(*v1alpha1.Rotation) bool) *v1alpha1.Rotation {
	w.Helper()
	rot := &v1alpha1.Rotation{}
	until := time.After(4 * time.Minute)
	watch, err := testClient.Watch(w.Context(), &v1alpha1.RotationList{}, client.InNamespace(w.ns))
	if err != nil {
		w.Fatal(err)
	}
	defer watch.Stop()
	for {
		w.get(rot, name)
		if f(rot) {
			return rot
		}
		select {
		case <-watch.ResultChan():
		case <-until:
			w.Fatalf("%s: phase %s, turn %d, timeline %+v, conditions %+v", what, rot.Status.Phase, rot.Status.Turn, rot.Status.Timeline, rot.Status.Conditions)
		}
	}
}

func (w *world) ask(annotation, value string) {
	w.Helper()
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, annotation, value)
	rot := &v1alpha1.Rotation{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "db"}}
	if err := testClient.Patch(w.Context(), rot, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		w.Fatal(err)
	}
}

// done waits until a turn has ended well and rests.
func (w *world) done(turn int64) *v1alpha1.Rotation {
	w.Helper()
	return w.rotation(fmt.Sprintf("turn %d", turn), func(rot *v1alpha1.Rotation) bool {
		return rot.Status.Turn == turn && rot.Status.Phase == v1alpha1.PhaseIdle && len(rot.Finalizers) == 0
	})
}

// settled waits until the Deployment runs.
func (w *world) settled() {
	w.Helper()
	for {
		var d appsv1.Deployment
		w.get(&d, "web")
		if d.Status.ObservedGeneration == d.Generation && d.Status.AvailableReplicas == 2 {
			return
		}
		select {
		case <-w.Context().Done():
			w.Fatal("the Deployment does not run")
		case <-time.After(50 * time.Millisecond):
		}
	}
}
