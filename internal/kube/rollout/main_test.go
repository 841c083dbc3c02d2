package rollout_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
	"github.com/strongkeep/strongkeep/internal/kube/rollout/rollouttest"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
	"github.com/strongkeep/strongkeep/test/cluster"
)

var (
	testCluster *cluster.Cluster
	testClient  client.WithWatch
)

func TestMain(m *testing.M) {
	os.Exit(apiserver.Main(apiserver.Config{Bare: true, Schemes: []func(*runtime.Scheme) error{scheme.AddToScheme}}, func(s *apiserver.Server) (code int, err error) {
		testCluster, testClient = s.Cluster, s.Client
		kubelet, err := rollouttest.Start(context.Background(), testClient)
		if err != nil {
			return 1, err
		}
		defer func() { err = errors.Join(err, kubelet.Close()) }()
		return m.Run(), nil
	}))
}

// world is one test's namespace.
type world struct {
	*testing.T
	ns     string
	roller *rollout.Roller
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "t-"}}
	if err := testClient.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, ns: ns.Name}
	w.restart()
	t.Cleanup(func() { // not to be counted by later tests
		if err := testClient.Delete(context.WithoutCancel(t.Context()), ns); err != nil {
			t.Error(err)
		}
		for _, o := range []client.Object{&appsv1.Deployment{}, &appsv1.StatefulSet{}, &appsv1.DaemonSet{}, &appsv1.ReplicaSet{}} {
			if err := testClient.DeleteAllOf(context.WithoutCancel(t.Context()), o, client.InNamespace(w.ns)); err != nil {
				t.Error(err)
			}
		}
	})
	return w
}

// restart makes a Roller that remembers nothing.
func (w *world) restart() {
	w.roller = rollout.New(rollout.Config{Client: testClient, Live: testClient})
}

func (w *world) apply(text string) {
	w.Helper()
	if err := apiserver.Apply(w.Context(), testClient, w.ns, text); err != nil {
		w.Fatal(err)
	}
}

func (w *world) kubectl(args ...string) string {
	w.Helper()
	out, err := testCluster.Kubectl(w.Context(), nil, append([]string{"-n", w.ns}, args...)...)
	if err != nil {
		w.Fatalf("kubectl %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// template is a pod template that uses Secret "db", and has extra annotations.
const template = `
    metadata: {labels: {app: NAME}, annotations: {MORE}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: app
        image: app
        envFrom: [{secretRef: {name: db}}]
`

// manifest returns a workload of a kind; extra goes below spec.
func manifest(kind, name string, replicas int, extra string) string {
	text := "apiVersion: apps/v1\nkind: " + kind + "\nmetadata: {name: NAME}\nspec:\n"
	if kind != "DaemonSet" {
		text += fmt.Sprintf("  replicas: %d\n", replicas)
	}
	if kind == "StatefulSet" {
		text += "  serviceName: none\n"
	}
	text += "  selector: {matchLabels: {app: NAME}}\n" + extra + "\n  template:" + template + "---\n"
	return strings.NewReplacer("NAME", name, "MORE", "").Replace(text)
}

func object(kind, ns, name string) consumer.Object {
	gv := appsv1.SchemeGroupVersion
	switch kind {
	case "Pod":
		gv = corev1.SchemeGroupVersion
	case "Job", "CronJob":
		gv = schema.GroupVersion{Group: "batch", Version: "v1"}
	}
	return consumer.Object{Kind: gv.WithKind(kind), NamespacedName: types.NamespacedName{Namespace: ns, Name: name}}
}

// workload is what a graph would say of "Kind/name", read now.
func (w *world) workload(kindName string) consumer.Workload {
	w.Helper()
	kind, name, _ := strings.Cut(kindName, "/")
	o := object(kind, w.ns, name)
	var m unstructured.Unstructured
	m.SetGroupVersionKind(o.Kind)
	if err := testClient.Get(w.Context(), o.NamespacedName, &m); err != nil {
		w.Fatal(err)
	}
	stamp, _, err := unstructured.NestedString(m.Object, "spec", "template", "metadata", "annotations", "strongkeep.io/content")
	if err != nil {
		w.Fatal(err)
	}
	return consumer.Workload{Object: o, UID: m.GetUID(), Rolls: true, Stamp: stamp, Reload: m.GetAnnotations()["strongkeep.io/reload"]}
}

const owner = "rotation/test/one"

func wants(s rollout.Stamp) func(consumer.Object) rollout.Stamp {
	return func(consumer.Object) rollout.Stamp { return s }
}

func (w *world) roll(q rollout.Request) rollout.Progress {
	w.Helper()
	if q.Owner == "" {
		q.Owner = owner
	}
	p, err := w.roller.Roll(w.Context(), q)
	if err != nil {
		w.Fatal(err)
	}
	return p
}

// until rolls the named workloads to s again and again, until all are in state.
func (w *world) until(state rollout.State, q rollout.Request, s rollout.Stamp, names ...string) rollout.Progress {
	w.Helper()
	q.Wanted = wants(s)
	var p rollout.Progress
	w.eventually(func() bool {
		q.Workloads = nil
		for _, n := range names {
			q.Workloads = append(q.Workloads, w.workload(n))
		}
		p = w.roll(q)
		return len(p.In(state)) == len(names)
	}, func() string { return fmt.Sprintf("want %s, is %+v", state, p.Items) })
	return p
}

const patience = 3 * time.Minute

func (w *world) eventually(f func() bool, say func() string) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.Fatalf("waited in vain: %s", say())
		}
	}
}

// settled waits until every pod of a workload is ready and it has n, and until its
// Deployment, if it is one, says so: its controller writes nothing then.
func (w *world) settled(name string, n int) {
	w.Helper()
	w.eventually(func() bool {
		if len(w.ready(name)) != n {
			return false
		}
		var d appsv1.Deployment
		err := testClient.Get(w.Context(), types.NamespacedName{Namespace: w.ns, Name: name}, &d)
		if client.IgnoreNotFound(err) != nil {
			w.Fatal(err)
		}
		return err != nil || d.Status.ObservedGeneration == d.Generation && int(d.Status.AvailableReplicas) == n
	}, func() string {
		return name + ": " + w.kubectl("get", "pods,deployments,replicasets,statefulsets,daemonsets", "-o", "wide")
	})
}

// ready returns the ready pods with the label app=name, by name.
func (w *world) ready(name string) []corev1.Pod {
	w.Helper()
	var pods corev1.PodList
	if err := testClient.List(w.Context(), &pods, client.InNamespace(w.ns), client.MatchingLabels{"app": name}); err != nil {
		w.Fatal(err)
	}
	var out []corev1.Pod
	for _, p := range pods.Items {
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil {
				out = append(out, p)
			}
		}
	}
	return out
}
