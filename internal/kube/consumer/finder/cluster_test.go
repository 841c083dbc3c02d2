package finder

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/content"
	"github.com/strongkeep/strongkeep/internal/kube/operator/rbac"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
)

// plane is the real API server of the tests that need one; the first starts it.
var plane struct {
	once   sync.Once
	server *apiserver.Server
	err    error
}

func TestMain(m *testing.M) {
	flag.Parse()
	ctrllog.SetLogger(logr.Discard())
	code := m.Run()
	if plane.server != nil {
		if err := plane.server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// apiServer returns a client of the real API server that may do everything.
func apiServer(t testing.TB) (*rest.Config, client.WithWatch) {
	t.Helper()
	if testing.Short() {
		t.Skip("SKIPPED with -short: needs a real API server")
	}
	plane.once.Do(func() {
		plane.server, plane.err = apiserver.Start(context.Background(), apiserver.Config{Foreign: foreign()})
	})
	if plane.err != nil {
		t.Fatal(plane.err)
	}
	return plane.server.REST, newClient(t, plane.server.REST)
}

func newClient(t testing.TB, cfg *rest.Config) client.WithWatch {
	t.Helper()
	scheme, err := Scheme()
	if err != nil {
		t.Fatal(err)
	}
	for _, add := range []func() error{
		func() error { return apiextensionsv1.AddToScheme(scheme) }, func() error { return rbacv1.AddToScheme(scheme) },
	} {
		if err := add(); err != nil {
			t.Fatal(err)
		}
	}
	c, err := client.NewWithWatch(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// foreign are kinds of others, as far as they are read.
func foreign() []*apiextensionsv1.CustomResourceDefinition {
	var out []*apiextensionsv1.CustomResourceDefinition
	for _, k := range [][4]string{
		{"gateway.networking.k8s.io", "v1", "Gateway", "gateways"},
		{"secrets-store.csi.x-k8s.io", "v1", "SecretProviderClass", "secretproviderclasses"},
		{"argoproj.io", "v1alpha1", "Rollout", "rollouts"},
		{"test.strongkeep.io", "v1", "PodSet", "podsets"},
	} {
		crd := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: k[3] + "." + k[0]}}
		if strings.HasSuffix(k[0], ".k8s.io") || strings.HasSuffix(k[0], ".x-k8s.io") {
			crd.Annotations = map[string]string{"api-approved.kubernetes.io": "unapproved, a test"}
		}
		yes := true
		crd.Spec = apiextensionsv1.CustomResourceDefinitionSpec{
			Group: k[0], Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Kind: k[2], Plural: k[3], ListKind: k[2] + "List", Singular: strings.ToLower(k[2])},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{Name: k[1], Served: true, Storage: true, Schema: &apiextensionsv1.CustomResourceValidation{
				OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &yes},
			}}},
		}
		out = append(out, crd)
	}
	return out
}

// real is a Finder over the real API server, as an operator has it, with the
// rights that the operator has.
type real struct {
	testing.TB
	*Finder
	admin   client.WithWatch
	ns      string
	changed chan struct{}
	used    *used
}

// used notes the permission that each request needs.
type used struct {
	next http.RoundTripper
	mu   sync.Mutex
	all  map[string]bool // "verb group/resource"
	no   []string        // refused
}

func (u *used) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := u.next.RoundTrip(r)
	if err != nil {
		return answer, err
	}
	parts := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
	group := ""
	if parts[0] == "apis" && len(parts) > 3 {
		group, parts = parts[1], parts[3:]
	} else if parts[0] == "api" && len(parts) > 2 {
		parts = parts[2:]
	} else {
		return answer, nil
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		parts = parts[2:]
	}
	verb := "get"
	if r.URL.Query().Get("watch") == "true" {
		verb = "watch"
	} else if len(parts) == 1 {
		verb = "list"
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all[verb+" "+group+"/"+parts[0]] = true
	if answer.StatusCode == http.StatusForbidden {
		u.no = append(u.no, r.Method+" "+r.URL.String())
	}
	return answer, nil
}

// seen returns the permissions used so far, and the requests refused.
func (u *used) seen() (map[string]bool, []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.all), slices.Clone(u.no)
}

func newReal(t testing.TB, namespaced bool) *real {
	t.Helper()
	admin, c := apiServer(t)
	ctx := t.Context()
	space := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "f-"}}
	if err := c.Create(ctx, space); err != nil {
		t.Fatal(err)
	}
	w := &real{TB: t, admin: c, ns: space.Name, changed: make(chan struct{}, 1), used: &used{all: map[string]bool{}}}
	o := rbac.Options{Name: w.ns, Namespace: w.ns, ClusterStores: true, Rotation: true}
	var namespaces []string
	if namespaced {
		namespaces = []string{w.ns}
		o.Namespaces = namespaces
	}
	t.Cleanup(func() { // for the searches of later tests, which see every namespace
		for _, o := range []client.Object{&v1.ExternalSecret{}, &corev1.Secret{}, &corev1.Pod{}} {
			if err := c.DeleteAllOf(context.Background(), o, client.InNamespace(w.ns), client.GracePeriodSeconds(0)); err != nil {
				t.Error(err)
			}
		}
	})
	objects := rbac.Objects(o)
	for _, object := range objects {
		object := object.(client.Object)
		if err := c.Create(ctx, object); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := c.Delete(context.Background(), object); err != nil && !apierrors.IsNotFound(err) {
				t.Error(err)
			}
		})
	}
	cfg := rest.CopyConfig(admin)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: "system:serviceaccount:" + w.ns + ":" + w.ns, Groups: []string{"system:serviceaccounts", "system:authenticated"}}
	if err := apiserver.InForce(ctx, admin, cfg.Impersonate, objects); err != nil {
		t.Fatal(err)
	}
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { w.used.next = next; return w.used })
	live := newClient(t, cfg)
	key, err := target.NewKey(bytes.Repeat([]byte{7}, target.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	w.Finder, err = New(Config{
		Cached: w.cached(cfg, live, namespaces), Live: live, Locate: locate, Digests: content.New(live, key), Clock: clock.RealClock{}, Namespaces: namespaces,
		Changed: func(string, []string) {
			select {
			case w.changed <- struct{}{}:
			default:
			}
		},
		Cluster: func(context.Context, consumer.Cluster) (Cluster, error) {
			return Cluster{Live: c, Locate: locate, Digests: content.New(c, key)}, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.background(w.Finder.Run)
	return w
}

// background runs f until the test ends.
func (w *real) background(f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	w.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.Error(err)
		}
	})
}

// cached returns what the operator's manager has in its cache.
func (w *real) cached(cfg *rest.Config, live client.Client, namespaces []string) client.Reader {
	w.Helper()
	opts := cache.Options{Scheme: live.Scheme(), Mapper: live.RESTMapper(), ReaderFailOnMissingInformer: true}
	if len(namespaces) > 0 {
		opts.DefaultNamespaces = map[string]cache.Config{}
		for _, ns := range namespaces {
			opts.DefaultNamespaces[ns] = cache.Config{}
		}
	}
	all, err := cache.New(cfg, opts)
	if err != nil {
		w.Fatal(err)
	}
	w.background(all.Start)
	secrets := &metav1.PartialObjectMetadata{}
	secrets.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kindSecret))
	for _, o := range []client.Object{&v1.ExternalSecret{}, &v1.SecretStore{}, &v1.ClusterSecretStore{}, secrets} {
		if _, err := all.GetInformer(w.Context(), o); err != nil {
			w.Fatal(err)
		}
	}
	if !all.WaitForCacheSync(w.Context()) {
		w.Fatal("the cache did not fill")
	}
	return all
}

// create makes objects of namespace a in w's, with the status that they have.
func (w *real) create(list []client.Object) {
	w.Helper()
	group, ctx := errgroup.WithContext(w.Context())
	group.SetLimit(16)
	for _, o := range list {
		group.Go(func() error {
			status, _ := o.DeepCopyObject().(client.Object)
			if err := apiserver.Patiently(func() error { return w.admin.Create(ctx, o) }); err != nil {
				return err
			}
			switch o.(type) {
			case *corev1.Pod, *v1.ExternalSecret:
				return w.writeStatus(ctx, status)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		w.Fatal(err)
	}
}

// writeStatus writes the status of an object that is there. Controllers write it too.
func (w *real) writeStatus(ctx context.Context, o client.Object) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		now := &metav1.PartialObjectMetadata{}
		kind, err := apiutil.GVKForObject(o, w.admin.Scheme())
		if err != nil {
			return err
		}
		now.SetGroupVersionKind(kind)
		if err := w.admin.Get(ctx, client.ObjectKeyFromObject(o), now); err != nil {
			return err
		}
		o.SetResourceVersion(now.ResourceVersion)
		o.SetUID(now.UID)
		return w.admin.Status().Update(ctx, o)
	})
}

// await finds until ok, which the informers' word brings about.
func (w *real) await(ask consumer.Wanted, ok func(consumer.Graph) bool) consumer.Graph {
	w.Helper()
	late := time.After(3 * time.Minute)
	for {
		g, err := w.Find(w.Context(), ask)
		if err != nil && !errs.Is(err, errs.Unavailable) {
			w.Fatal(err)
		}
		if err == nil && ok(g) {
			return g
		}
		select {
		case <-w.changed:
		case <-time.After(50 * time.Millisecond): // Secrets and ExternalSecrets are not told of
		case <-late:
			w.Fatalf("not found in time: %d pods, %d workloads, %d secrets, unknown %q, %v", len(g.Pods), len(g.Workloads), len(g.Secrets), g.Unknown, err)
		}
	}
}

func (w *real) fedSecret() []client.Object {
	es := &v1.ExternalSecret{}
	list := objects(w, strings.ReplaceAll(fedSecret, "namespace: a", "namespace: "+w.ns))
	for _, o := range list {
		o.SetUID("")
		switch o := o.(type) {
		case *v1.SecretStore:
			var err error
			if o.Spec.Provider, err = v1.NewProvider("fake", map[string]any{"data": []any{}}); err != nil {
				w.Fatal(err)
			}
		case *corev1.Secret:
			o.StringData = nil
		case *v1.ExternalSecret:
			es = o
		}
	}
	es.Status.RefreshTime = metav1.Now()
	return list
}

const template = "template: {metadata: {labels: {app: NAME}}, spec: {containers: [{name: c, image: none, envFrom: [{secretRef: {name: db}}]}]}}"

// simulated returns a Deployment with its ReplicaSet and a running pod on one
// of the simulated nodes, all written by the test.
func (w *real) simulate(n, nodes int) {
	w.Helper()
	for i := range nodes {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-node-%d", w.ns, i)}}
		if err := w.admin.Create(w.Context(), node); err != nil {
			w.Fatal(err)
		}
		w.Cleanup(func() {
			if err := w.admin.Delete(context.Background(), node); err != nil {
				w.Error(err)
			}
		})
	}
	group, ctx := errgroup.WithContext(w.Context())
	group.SetLimit(16)
	for i := range n {
		group.Go(func() error { return w.simulateOne(ctx, i, nodes) })
	}
	if err := group.Wait(); err != nil {
		w.Fatal(err)
	}
}

func (w *real) simulateOne(ctx context.Context, i, nodes int) error {
	name := fmt.Sprintf("web-%d", i)
	parse := func(o any, text string) {
		if err := yaml.UnmarshalStrict([]byte(strings.ReplaceAll(text, "NAME", name)), o); err != nil {
			panic(err)
		}
	}
	d, r, p := &appsv1.Deployment{}, &appsv1.ReplicaSet{}, &corev1.Pod{}
	parse(d, "metadata: {name: NAME}\nspec: {replicas: 1, selector: {matchLabels: {app: NAME}}, "+template+"}")
	parse(r, "metadata: {name: NAME-1, labels: {app: NAME}}\nspec: {replicas: 1, selector: {matchLabels: {app: NAME}}, "+template+"}")
	parse(p, "metadata: {name: NAME-1-x, labels: {app: NAME}}\nspec: {terminationGracePeriodSeconds: 0, containers: [{name: c, image: none, envFrom: [{secretRef: {name: db}}]}]}")
	d.Namespace, r.Namespace, p.Namespace = w.ns, w.ns, w.ns
	d.Spec.Paused = true // the controller manager is to leave our ReplicaSet alone
	p.Spec.NodeName = fmt.Sprintf("%s-node-%d", w.ns, i%nodes)
	if err := w.admin.Create(ctx, d); err != nil {
		return err
	}
	r.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(d, appsv1.SchemeGroupVersion.WithKind("Deployment"))}
	if err := w.admin.Create(ctx, r); err != nil {
		return err
	}
	p.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(r, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))}
	if err := w.admin.Create(ctx, p); err != nil {
		return err
	}
	p.Status = corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1", Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	return w.writeStatus(ctx, p)
}

// Five hundred workloads on one credential, all found and decided on. How long it
// takes is logged.
func TestFiveHundredWorkloads(t *testing.T) {
	const n = 500
	w := newReal(t, false)
	w.create(w.fedSecret())
	w.simulate(n, 10)
	ask := consumer.Wanted{Namespace: w.ns, Location: location}
	own := func(g consumer.Graph) (pods, works int) {
		for _, p := range g.Pods {
			if p.Namespace == w.ns && p.Workload.Kind.Kind == "Deployment" {
				pods++
			}
		}
		for _, o := range g.Workloads {
			if o.Namespace == w.ns && o.Rolls {
				works++
			}
		}
		return pods, works
	}
	// The first search waits for everything to be read once, which is the API
	// server's time, and the cache of Secrets may be behind.
	w.await(ask, func(g consumer.Graph) bool { pods, works := own(g); return pods >= n && works == n })
	for try := range 3 {
		began := time.Now()
		g, err := w.Find(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		pods, works := own(g)
		if works != n || pods < n || len(g.Unknown) > 0 {
			t.Fatalf("search %d: %d pods, %d workloads, unknown %q", try, pods, works, g.Unknown)
		}
		o := rotate.Observed{Now: time.Now(), Plan: rotate.Plan{NeedComplete: true}, Turn: rotate.Turn{Number: 1, Phase: v1alpha1.PhaseRolling, Begun: began, Published: began}}
		o.Rolling.Total = works
		for _, x := range g.Workloads {
			o.Rolling.Under = append(o.Rolling.Under, x.Name)
		}
		if step := rotate.Decide(o); step.Phase != v1alpha1.PhaseRolling {
			t.Errorf("decided %+v", step)
		}
		t.Logf("search %d: %v for %d workloads", try, time.Since(began), works)
	}
	gone := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "web-7-1-x"}}
	if err := w.admin.Delete(t.Context(), gone, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	w.await(ask, func(g consumer.Graph) bool {
		return !slices.ContainsFunc(g.Pods, func(p consumer.Pod) bool { return p.Name == gone.Name })
	})
}

// With the operator's roles and nothing else everything is found, and every
// permission for it is used.
func TestPermissions(t *testing.T) {
	for _, namespaced := range []bool{false, true} {
		w := newReal(t, namespaced)
		w.create(w.fedSecret())
		w.simulate(1, 1)
		w.create(customs(t, "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {namespace: "+w.ns+", name: ro}\nspec: {"+template+"}"))
		ro := consumer.Object{Kind: consumer.KindRollout()}
		ro.Name = "ro"
		ask := consumer.Wanted{Namespace: w.ns, Location: location, Scan: true, Workloads: []consumer.Object{ro}}
		rolls := func(o consumer.Workload) bool { return o.Kind.Kind == "Rollout" && o.Rolls }
		g := w.await(ask, func(g consumer.Graph) bool {
			return len(g.Pods) > 0 && len(g.Secrets) > 0 && g.Secrets[0].Digest != "" && slices.ContainsFunc(g.Workloads, rolls)
		})
		used, refused := w.used.seen()
		if len(g.Unknown) > 0 || len(refused) > 0 {
			t.Errorf("unknown %q, refused %q", g.Unknown, refused)
		}
		if (len(g.Bounds) > 0) != namespaced {
			t.Errorf("bounds %q", g.Bounds)
		}
		have := map[string]bool{}
		for _, r := range rbac.Consumers() {
			for _, verb := range r.Verbs {
				have[verb+" "+r.APIGroups[0]+"/"+r.Resources[0]] = true
			}
		}
		for p := range have {
			if resource, ok := strings.CutPrefix(p, "list "); ok && used["watch "+resource] {
				continue // the API server streams lists
			}
			if !used[p] {
				t.Errorf("granted for finding and never used: %s", p)
			}
		}
	}
}

func TestNoPermission(t *testing.T) {
	w := newReal(t, true)
	w.create(w.fedSecret())
	set := customs(t, "apiVersion: test.strongkeep.io/v1\nkind: PodSet\nmetadata: {namespace: "+w.ns+", name: x}")
	w.create(set)
	w.create(objects(t, "apiVersion: v1\nkind: Pod\nmetadata: {namespace: "+w.ns+", name: p, ownerReferences: [{apiVersion: test.strongkeep.io/v1, kind: PodSet, name: x, uid: "+
		string(set[0].GetUID())+", controller: true}]}\nspec: {containers: [{name: c, image: none, envFrom: [{secretRef: {name: db}}]}]}\n"))
	ask := consumer.Wanted{Namespace: w.ns, Location: location}
	g := w.await(ask, func(g consumer.Graph) bool { return len(g.Unknown) > 0 })
	if len(g.Unknown) != 1 || !strings.Contains(g.Unknown[0], "add get on PodSet.test.strongkeep.io") {
		t.Errorf("unknown: %q", g.Unknown)
	}
	var role rbacv1.Role
	if err := w.admin.Get(t.Context(), types.NamespacedName{Namespace: w.ns, Name: w.ns + "-sync"}, &role); err != nil {
		t.Fatal(err)
	}
	role.Rules = slices.DeleteFunc(role.Rules, func(r rbacv1.PolicyRule) bool { return slices.Contains(r.Resources, "ingresses") })
	if err := w.admin.Update(t.Context(), &role); err != nil {
		t.Fatal(err)
	}
	ask.Live = true
	g = w.await(ask, func(g consumer.Graph) bool { return len(g.Unknown) > 1 })
	if !slices.ContainsFunc(g.Unknown, func(text string) bool {
		return strings.HasPrefix(text, "ingresses.networking.k8s.io: the operator may not list them in namespace "+w.ns)
	}) {
		t.Errorf("unknown: %q", g.Unknown)
	}
}

// Another cluster is looked at as it is, and what it has is told apart.
func TestOtherCluster(t *testing.T) {
	w := newReal(t, false)
	w.create(w.fedSecret())
	w.simulate(1, 1)
	ask := consumer.Wanted{Namespace: w.ns, Location: location, Clusters: []consumer.Cluster{{Name: "east"}}}
	g := w.await(ask, func(g consumer.Graph) bool { return len(g.Pods) > 1 })
	count := map[string]int{}
	for _, s := range g.Secrets {
		if s.Namespace == w.ns {
			count["secret "+s.Cluster]++
		}
	}
	for _, o := range g.Workloads {
		if o.Namespace == w.ns && o.Kind.Kind == "Deployment" {
			count["workload "+o.Cluster]++
		}
	}
	for _, p := range g.Pods {
		if p.Workload.Cluster != p.Cluster {
			t.Errorf("%+v", p)
		}
	}
	for _, what := range []string{"secret ", "secret east", "workload ", "workload east"} {
		if count[what] != 1 {
			t.Errorf("%s: %d (%v)", what, count[what], count)
		}
	}
	w.cfg.Cluster = func(context.Context, consumer.Cluster) (Cluster, error) {
		return Cluster{}, errs.New(errs.Unavailable, "connection refused")
	}
	if g := w.await(ask, func(g consumer.Graph) bool { return len(g.Unknown) > 0 }); !slices.Contains(g.Unknown, `cluster "east": connection refused`) {
		t.Errorf("unknown: %q", g.Unknown)
	}
	w.cfg.Cluster = nil
	if g := w.await(ask, func(g consumer.Graph) bool { return len(g.Unknown) > 0 }); !slices.Contains(g.Unknown, `cluster "east": this operator reaches no other cluster`) {
		t.Errorf("unknown: %q", g.Unknown)
	}
}
