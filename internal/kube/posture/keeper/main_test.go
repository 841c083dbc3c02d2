package keeper

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec04"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec05"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec09"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check/sec11"
	"github.com/strongkeep/strongkeep/internal/kube/posture/history"
	"github.com/strongkeep/strongkeep/internal/kube/posture/report/policyreport"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
	"github.com/strongkeep/strongkeep/internal/testenv/buffer"
)

// The tests of this package run one after the other against one real API server: reports
// are about all of it.
var server *apiserver.Server

func TestMain(m *testing.M) {
	os.Exit(apiserver.Main(apiserver.Config{
		Bare: true, Schemes: []func(*runtime.Scheme) error{rbacv1.AddToScheme, appsv1.AddToScheme},
	}, func(s *apiserver.Server) (int, error) {
		server = s
		return m.Run(), nil
	}))
}

// canary is in every value here.
const canary = "canary-83fd-Qw7"

// patience bounds every wait of these tests.
const patience = 3 * time.Minute

// world is one test's namespaces: of the operator, and of what is looked at.
type world struct {
	*testing.T
	own, shop string
	clock     *clocktesting.FakeClock
	log       *buffer.Buffer
	metrics   *Metrics
	// looks are how often was looked while reports were served, and examined how many
	// reports were searched for values.
	served, looks, examined int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, own: namespace(t, "own-"), shop: namespace(t, "shop-"), clock: clocktesting.NewFakeClock(time.Now().Truncate(time.Second)), log: &buffer.Buffer{}}
	w.metrics = NewMetrics(w.clock)
	t.Cleanup(func() {
		if w.canaries(); w.looks > 0 && w.examined == 0 {
			w.Error("no report was searched for values")
		}
		if w.Failed() {
			w.Logf("log:\n%s", w.log)
		}
	})
	return w
}

func namespace(t *testing.T, prefix string) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix}}
	if err := server.Client.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

// keeper makes one, as a process that begins does.
func (w *world) keeper(config *rest.Config, change func(*Config)) *Keeper {
	w.Helper()
	c := Config{
		REST: config, Checks: []check.Check{sec04.Check(), sec05.Check(), sec09.Check(), sec11.Check()}, Namespace: w.own, Every: time.Hour,
		Clock: w.clock, Log: slog.New(slog.NewTextHandler(w.log, nil)), Metrics: w.metrics,
	}
	if change != nil {
		change(&c)
	}
	k, err := New(c)
	if err != nil {
		w.Fatal(err)
	}
	return k
}

// look has a new Keeper look once, an hour after the look before.
func (w *world) look(change func(*Config)) {
	w.Helper()
	w.clock.Step(time.Hour)
	if err := w.keeper(server.REST, change).round(w.Context()); err != nil {
		w.Fatal(err)
	}
	w.canaries()
	if w.served > 0 {
		w.looks++
	}
}

// book is what is remembered.
func (w *world) book() *history.Book {
	w.Helper()
	b, _, err := w.keeper(server.REST, nil).history.Load(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return b
}

// entry is what is remembered of a Deployment of the shop, the latest; nil: nothing.
func (w *world) entry(deployment string) *history.Entry {
	w.Helper()
	b := w.book()
	i := slices.IndexFunc(b.Entries, func(e history.Entry) bool { return e.Object.Namespace == w.shop && e.Object.Name == deployment })
	if i < 0 {
		return nil
	}
	return &b.Entries[i]
}

func (w *world) apply(text string) {
	w.Helper()
	if err := apiserver.Apply(w.Context(), server.Client, w.shop, text); err != nil {
		w.Fatal(err)
	}
}

// deployment uses a Secret as a variable, which SEC-09 does not like.
func deployment(name string) string {
	return `
apiVersion: apps/v1
kind: Deployment
metadata: {name: ` + name + `}
spec:
  replicas: 0
  selector: {matchLabels: {app: ` + name + `}}
  template:
    metadata: {labels: {app: ` + name + `}}
    spec: {containers: [{name: c, image: i, env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}]}]}
---
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData: {password: ` + canary + `}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: copy}
data: {DB_PASSWORD: ` + canary + `}
---
`
}

func (w *world) remove(deployment string) {
	w.Helper()
	o := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: w.shop, Name: deployment}}
	if err := server.Client.Delete(w.Context(), o); err != nil {
		w.Fatal(err)
	}
}

var (
	newer = policyreport.Families()[0]
	older = policyreport.Families()[1]
)

// install has the cluster know the reports of a family, by what deploy/reports has, until
// the test ends.
func (w *world) install(f policyreport.Family) {
	w.Helper()
	file := map[string]string{"openreports.io": "openreports.yaml", "wgpolicyk8s.io": "policyreports.yaml"}[f.Group]
	text, err := os.ReadFile("../../../../deploy/reports/" + file)
	if err != nil {
		w.Fatal(err)
	}
	var made []*apiextensionsv1.CustomResourceDefinition
	for _, doc := range strings.Split(string(text), "\n---\n") {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict([]byte(doc), crd); err != nil {
			w.Fatal(err)
		}
		if err := server.Client.Create(w.Context(), crd); err != nil {
			w.Fatal(err)
		}
		made = append(made, crd)
	}
	w.served++
	w.Cleanup(func() {
		w.served--
		for _, crd := range made {
			if err := server.Client.Delete(context.Background(), crd); err != nil {
				w.Error(err)
			}
		}
		awaitServed(w.T, f, false)
	})
	awaitServed(w.T, f, true)
}

// awaitServed waits until a family is served, as discovery tells it, and can be listed; or
// is not.
func awaitServed(t *testing.T, f policyreport.Family, want bool) {
	t.Helper()
	d, err := discovery.NewDiscoveryClientForConfig(server.REST)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		list, err := d.ServerResourcesForGroupVersion(f.String())
		if err != nil && !apierrors.IsNotFound(err) {
			return false, nil
		}
		both := err == nil && len(list.APIResources) == 2
		if want {
			return both && listable(ctx, f), nil
		}
		return err != nil, nil
	}); err != nil {
		t.Fatalf("waiting until %s is served %v: %v", f, want, err)
	}
}

func listable(ctx context.Context, f policyreport.Family) bool {
	for _, kind := range []policyreport.Kind{f.Local, f.Global} {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(f.WithKind(kind.Kind + "List"))
		if server.Client.List(ctx, list) != nil {
			return false
		}
	}
	return true
}

// report is one of a namespace, or of the cluster; nil if there is none.
func (w *world) report(f policyreport.Family, namespace string) *unstructured.Unstructured {
	w.Helper()
	o := &unstructured.Unstructured{}
	o.SetGroupVersionKind(f.WithKind(f.Global.Kind))
	if namespace != "" {
		o.SetGroupVersionKind(f.WithKind(f.Local.Kind))
	}
	err := server.Client.Get(w.Context(), client.ObjectKey{Namespace: namespace, Name: policyreport.Name}, o)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		w.Fatal(err)
	}
	return o
}

// rows are results of a report: "fail SEC-09 Rule name".
func (w *world) rows(o *unstructured.Unstructured) []string {
	w.Helper()
	if o == nil {
		return nil
	}
	results, _, err := unstructured.NestedSlice(o.Object, "results")
	if err != nil {
		w.Fatal(err)
	}
	var out []string
	for _, r := range results {
		m := r.(map[string]any)
		name := ""
		if resources, _, _ := unstructured.NestedSlice(m, "resources"); len(resources) > 0 {
			name = " " + resources[0].(map[string]any)["name"].(string)
		}
		out = append(out, m["result"].(string)+" "+m["policy"].(string)+" "+m["rule"].(string)+name)
	}
	return out
}

// canaries looks for values in everything that a Keeper leaves behind: after each look,
// since the reports are gone with their definitions when a test ends.
func (w *world) canaries() {
	w.Helper()
	all := map[string]string{"the log": w.log.String(), "the metrics": w.scrape()}
	ctx := context.WithoutCancel(w.Context())
	b, _, err := w.keeper(server.REST, nil).history.Load(ctx)
	if err != nil && errs.KindOf(err) != errs.Invalid { // a test that spoils it
		w.Errorf("searching the history: %v", err)
	}
	if err == nil {
		all["the history"] = w.json(b)
	}
	for _, f := range policyreport.Families() {
		for _, kind := range []policyreport.Kind{f.Local, f.Global} {
			list := &unstructured.UnstructuredList{}
			list.SetGroupVersionKind(f.WithKind(kind.Kind + "List"))
			err := server.Client.List(ctx, list)
			if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) {
				continue // it is not served
			}
			if err != nil {
				w.Errorf("searching every %s: %v", kind.Kind, err)
				continue
			}
			w.examined += len(list.Items)
			all["a "+kind.Kind] = w.json(list)
		}
	}
	for name, text := range all {
		if strings.Contains(text, canary) || strings.Contains(text, "Y2FuYXJ5LTgzZmQ") {
			w.Errorf("a value is in %s", name)
		}
	}
}

func (w *world) json(v any) string {
	w.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		w.Error(err)
	}
	return string(raw)
}

// scrape is what the metrics say.
func (w *world) scrape() string {
	w.Helper()
	registry := prometheus.NewRegistry()
	if err := registry.Register(w.metrics); err != nil {
		w.Fatal(err)
	}
	families, err := registry.Gather()
	if err != nil {
		w.Fatal(err)
	}
	return fmt.Sprint(families)
}
