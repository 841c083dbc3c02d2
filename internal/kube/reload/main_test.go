package reload_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/strongkeep/strongkeep/internal/kube/content"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/reload"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
	"github.com/strongkeep/strongkeep/internal/kube/rollout/rollouttest"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
	"github.com/strongkeep/strongkeep/test/cluster"
)

var (
	testCluster *cluster.Cluster
	testREST    *rest.Config
	testClient  client.WithWatch
)

func TestMain(m *testing.M) {
	os.Exit(apiserver.Main(apiserver.Config{Bare: true, Schemes: []func(*runtime.Scheme) error{scheme.AddToScheme}}, func(s *apiserver.Server) (code int, err error) {
		testCluster, testREST, testClient = s.Cluster, s.REST, s.Client
		kubelet, err := rollouttest.Start(context.Background(), testClient)
		if err != nil {
			return 1, err
		}
		defer func() { err = errors.Join(err, kubelet.Close()) }()
		ctrl.SetLogger(logr.Discard())
		return m.Run(), nil
	}))
}

// world is one test's namespace and what runs in it.
type world struct {
	*testing.T
	ns     string
	settle time.Duration

	mu     sync.Mutex
	events []string
	log    strings.Builder
}

func newWorld(t *testing.T) *world {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "t-"}}
	if err := testClient.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, ns: ns.Name, settle: settle}
	t.Cleanup(func() {
		if err := testClient.Delete(context.WithoutCancel(t.Context()), ns); err != nil {
			t.Error(err)
		}
		all := w.said() + w.kubectl("get", "deployments,pods", "-o", "yaml")
		w.mu.Lock()
		all += w.log.String()
		w.mu.Unlock()
		if strings.Contains(all, canary) || strings.Contains(all, "Y2FuYXJ5") {
			t.Error("a secret value is in an event, a log line or an annotation")
		}
		if t.Failed() {
			t.Log(w.said())
		}
	})
	return w
}

const canary = "canary-77"

func (w *world) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(b)
}

func (w *world) said() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.events, "\n")
}

// settle is how long content must be still in these tests, but where world.settle
// says otherwise.
const settle = 700 * time.Millisecond

// start runs the controllers, until the test ends or stop is called.
func (w *world) start() (stop func()) {
	w.Helper()
	log := slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
	mgr, err := ctrl.NewManager(testREST, ctrl.Options{
		Scheme: scheme.Scheme, Logger: logr.FromSlogHandler(log.Handler()),
		Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
		Cache: cache.Options{
			DefaultNamespaces: map[string]cache.Config{w.ns: {}}, ReaderFailOnMissingInformer: true, DefaultTransform: reload.Shrink,
		},
	})
	if err != nil {
		w.Fatal(err)
	}
	key, err := target.NewKey([]byte(strings.Repeat("k", target.KeySize)))
	if err != nil {
		w.Fatal(err)
	}
	cfg := reload.Config{
		Client: mgr.GetClient(), Cached: mgr.GetCache(), Live: mgr.GetAPIReader(), Digests: content.New(mgr.GetAPIReader(), key),
		Roller: rollout.New(rollout.Config{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Keep: reload.Keep}),
		Settle: w.settle, Clock: clock.RealClock{}, Log: log, Metrics: reload.NewMetrics(),
		Event: func(o client.Object, kind, reason, message string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, fmt.Sprintf("%s %s %s: %s", kind, o.GetName(), reason, message))
		},
	}
	cfg.Object, cfg.List = &appsv1.Deployment{}, &appsv1.DeploymentList{}
	if err := reload.New(cfg).Setup(w.Context(), mgr, "deployment"); err != nil {
		w.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Context()))
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.Errorf("the manager ended: %v", err)
		}
	})
	w.Cleanup(stop)
	return stop
}

func (w *world) apply(text string) {
	w.Helper()
	if err := apiserver.Apply(w.Context(), testClient, w.ns, text); err != nil {
		w.Fatal(err)
	}
}

func (w *world) kubectl(args ...string) string {
	w.Helper()
	out, err := testCluster.Kubectl(context.WithoutCancel(w.Context()), nil, append([]string{"-n", w.ns}, args...)...)
	if err != nil {
		w.Fatalf("kubectl %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// secret makes or changes a Secret.
func (w *world) secret(name, value string) {
	w.Helper()
	o := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}
	_, err := ctrl.CreateOrUpdate(w.Context(), testClient, o, func() error {
		o.Data = map[string][]byte{"p": []byte(canary + value)}
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
}

// deployment returns a Deployment that uses Secrets a, b and c.
func deployment(name, annotations string) string {
	return strings.NewReplacer("NAME", name, "ANNOTATIONS", annotations).Replace(`apiVersion: apps/v1
kind: Deployment
metadata: {name: NAME, annotations: {ANNOTATIONS}}
spec:
  selector: {matchLabels: {app: NAME}}
  template:
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: app
        image: app
        envFrom: [{secretRef: {name: a, optional: true}}, {secretRef: {name: b, optional: true}}]
      volumes: [{name: v, projected: {sources: [{secret: {name: c, optional: true}}, {configMap: {name: conf, optional: true}}]}}]
---
`)
}

func (w *world) get(name string) *appsv1.Deployment {
	w.Helper()
	var d appsv1.Deployment
	if err := testClient.Get(w.Context(), client.ObjectKey{Namespace: w.ns, Name: name}, &d); err != nil {
		w.Fatal(err)
	}
	return &d
}

// rollouts returns how many templates a Deployment has had.
func (w *world) rollouts(name string) int {
	w.Helper()
	var list appsv1.ReplicaSetList
	if err := testClient.List(w.Context(), &list, client.InNamespace(w.ns), client.MatchingLabels{"app": name}); err != nil {
		w.Fatal(err)
	}
	return len(list.Items)
}

// adopted waits until what is used is noted.
func (w *world) adopted(name string, entries ...string) {
	w.Helper()
	w.until(name+" adopted", func() bool {
		stamp := rollout.ParseStamp(w.get(name).Annotations[rollout.AnnotationStamp])
		for _, e := range entries {
			if stamp[e] == "" {
				return false
			}
		}
		return true
	})
}

// rolled waits until a Deployment has had n templates and is complete.
func (w *world) rolled(name string, n int) {
	w.Helper()
	w.until(fmt.Sprintf("%s has had %d rollouts", name, n), func() bool {
		d := w.get(name)
		s := d.Status
		return w.rollouts(name) == n && s.ObservedGeneration == d.Generation && s.UpdatedReplicas == 1 && s.Replicas == 1 && s.AvailableReplicas == 1
	})
}

const patience = 3 * time.Minute

func (w *world) until(what string, f func() bool) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			w.Fatalf("waited in vain: %s\n%s", what, w.said())
		}
	}
}

// quiet lets a time go by in which nothing should happen.
func (w *world) quiet() {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), max(3*settle, 3*w.settle/2))
	defer cancel()
	<-ctx.Done()
}
