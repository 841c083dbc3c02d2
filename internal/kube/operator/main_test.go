package operator

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	admission "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/api/external/v1beta1"
	generators "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws"
	"github.com/strongkeep/strongkeep/internal/kube/provider/aws/awstest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/azure"
	"github.com/strongkeep/strongkeep/internal/kube/provider/azure/azuretest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/fake"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp"
	"github.com/strongkeep/strongkeep/internal/kube/provider/gcp/gcptest"
	"github.com/strongkeep/strongkeep/internal/kube/provider/kubernetes"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault"
	"github.com/strongkeep/strongkeep/internal/kube/provider/vault/vaulttest"
	webhookstore "github.com/strongkeep/strongkeep/internal/kube/provider/webhook"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
	"github.com/strongkeep/strongkeep/internal/testenv/buffer"
	"github.com/strongkeep/strongkeep/test/cluster"
)

// The tests of this package run against one real API server, each in a
// namespace of its own with an operator of its own.
var (
	testCluster *cluster.Cluster
	testREST    *rest.Config
	testClient  client.WithWatch
)

func TestMain(m *testing.M) {
	os.Exit(apiserver.Main(apiserver.Config{
		Flags:   apiServerFlags(),
		Schemes: []func(*runtime.Scheme) error{v1.AddToScheme, v1alpha1.AddToScheme, v1beta1.AddToScheme, generators.AddToScheme, rbacv1.AddToScheme, admission.AddToScheme},
	}, func(s *apiserver.Server) (int, error) {
		testCluster, testREST, testClient = s.Cluster, s.REST, s.Client
		return m.Run(), nil
	}))
}

// awaitObject watches object until f holds for it. object is updated.
func awaitObject[T client.Object](ctx context.Context, object T, f func(T) bool) error {
	list := &metav1.PartialObjectMetadataList{}
	kinds, _, err := testClient.Scheme().ObjectKinds(object)
	if err != nil {
		return err
	}
	gvk := kinds[0]
	list.SetGroupVersionKind(gvk.GroupVersion().WithKind(gvk.Kind + "List"))
	w, err := testClient.Watch(ctx, list, client.InNamespace(object.GetNamespace()),
		&client.ListOptions{FieldSelector: fields.OneTermEqualSelector("metadata.name", object.GetName())})
	if err != nil {
		return err
	}
	defer w.Stop()
	for {
		fresh := reflect.New(reflect.TypeOf(object).Elem()).Interface().(T)
		err := testClient.Get(ctx, client.ObjectKeyFromObject(object), fresh)
		if err != nil && !apierrors.IsNotFound(err) {
			return err
		}
		if err == nil {
			reflect.ValueOf(object).Elem().Set(reflect.ValueOf(fresh).Elem())
		}
		if err == nil && f(object) {
			return nil
		}
		select {
		case <-w.ResultChan():
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s %s: %w", gvk.Kind, client.ObjectKeyFromObject(object), ctx.Err())
		}
	}
}

// world is one test's namespace, vault and operator.
type world struct {
	*testing.T
	ns    string
	vault *vaulttest.Server
	aws   *awstest.Server
	gcp   *gcptest.Server
	azure *azuretest.Server
	log   *buffer.Buffer
	at    Addresses
}

// canary stands in every secret value of these tests.
const canary = "canary-4be1"

func newWorld(t *testing.T) *world {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "t-"}}
	if err := testClient.Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, ns: ns.Name, vault: vaulttest.New().Start(t), aws: awstest.New(t), gcp: gcptest.New(t), azure: azuretest.New(t), log: &buffer.Buffer{}}
	t.Cleanup(func() {
		w.checkCanaries()
		w.removePushes()
		for _, o := range []client.Object{&v1.ExternalSecret{}, &v1.SecretStore{}} { // not for the operators of later tests
			if err := testClient.DeleteAllOf(contextOf(w), o, client.InNamespace(w.ns)); err != nil {
				t.Error(err)
			}
		}
	})
	return w
}

// removePushes deletes the PushSecrets, and takes the finalizers off that no operator
// is there to take off.
func (w *world) removePushes() {
	ctx := contextOf(w)
	var pushes v1alpha1.PushSecretList
	var stores v1.SecretStoreList
	if err := testClient.List(ctx, &pushes, client.InNamespace(w.ns)); err != nil {
		w.Error(err)
	}
	if err := testClient.List(ctx, &stores, client.InNamespace(w.ns)); err != nil {
		w.Error(err)
	}
	none := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
	for i := range pushes.Items {
		if err := testClient.Patch(ctx, &pushes.Items[i], none); client.IgnoreNotFound(err) != nil {
			w.Error(err)
		}
		w.remove(&pushes.Items[i])
	}
	for i := range stores.Items {
		if err := testClient.Patch(ctx, &stores.Items[i], none); client.IgnoreNotFound(err) != nil {
			w.Error(err)
		}
	}
}

// contextOf returns a context for cleaning up.
func contextOf(w *world) context.Context { return context.WithoutCancel(w.Context()) }

// start runs an operator for the namespace until the test ends or stop is called.
func (w *world) start(change func(*Config)) (stop func()) {
	w.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.Context()))
	cfg := Config{
		Providers: map[string]provider.Provider{
			fake.Name: fake.Provider{}, vault.Name: vault.Provider{}, aws.Name: aws.Provider{Getenv: w.aws.Getenv}, gcp.Name: gcp.Provider{Getenv: w.gcp.Getenv},
			azure.Name:        azure.Provider{Getenv: w.azure.Getenv},
			webhookstore.Name: webhookstore.Provider{Loopback: true},
			kubernetes.Name:   kubernetes.Provider{Outbound: outbound.Config{Loopback: true}, Own: testREST},
		},
		Generators: w.kinds(),
		REST:       testREST, Namespaces: []string{w.ns}, OwnNamespace: w.ns,
		MetricsAddr: "127.0.0.1:0", HealthAddr: "127.0.0.1:0",
		Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&cfg)
	}
	started := make(chan Addresses, 1)
	cfg.Started = func(a Addresses) { started <- a }
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, cfg) }()
	select {
	case w.at = <-started:
	case err := <-ended:
		cancel()
		w.Fatalf("the operator ended: %v", err)
	}
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			w.Errorf("the operator ended: %v", err)
		}
	})
	w.Cleanup(stop)
	return stop
}

// checkCanaries greps what people may read for secret values.
func (w *world) checkCanaries() {
	ctx := context.WithoutCancel(w.Context())
	var all []string
	var list v1.ExternalSecretList
	var stores v1.SecretStoreList
	var pushes v1alpha1.PushSecretList
	var events corev1.EventList
	for _, l := range []client.ObjectList{&list, &stores, &pushes, &events} {
		if err := testClient.List(ctx, l, client.InNamespace(w.ns)); err != nil {
			w.Error(err)
		}
	}
	for i := range list.Items {
		all = append(all, fmt.Sprintf("status of %s: %+v", list.Items[i].Name, list.Items[i].Status))
	}
	for i := range stores.Items {
		all = append(all, fmt.Sprintf("status of %s: %+v", stores.Items[i].Name, stores.Items[i].Status))
	}
	for i := range pushes.Items {
		all = append(all, fmt.Sprintf("status of %s: %+v", pushes.Items[i].Name, pushes.Items[i].Status))
	}
	for i := range events.Items {
		all = append(all, "event: "+events.Items[i].Message)
	}
	for _, text := range append(all, strings.Split(w.log.String(), "\n")...) {
		if strings.Contains(text, canary) {
			w.Errorf("a secret value is in a %s", strings.ReplaceAll(text, canary, "CANARY"))
		}
	}
	if w.Failed() {
		w.Logf("log of the operator:\n%s", w.log)
	}
}

// apply creates or replaces the objects in a YAML text, in the test's namespace.
func (w *world) apply(text string) {
	w.Helper()
	if err := apiserver.Apply(w.Context(), testClient, w.ns, strings.ReplaceAll(text, "VAULT", w.vault.URL)); err != nil {
		w.Fatal(err)
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

// patience bounds every wait of these tests; a wait that succeeds takes milliseconds.
const patience = 3 * time.Minute

func await[T client.Object](w *world, object T, what string, f func(T) bool) T {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	if err := awaitObject(ctx, object, f); err != nil {
		w.Fatalf("%s: %v; last seen: %+v", what, err, status(object))
	}
	return object
}

func status(o client.Object) any {
	switch o := o.(type) {
	case *v1.ExternalSecret:
		return o.Status
	case *v1.SecretStore:
		return o.Status
	case *v1alpha1.PushSecret:
		return o.Status
	}
	return o.GetName()
}

// es waits until the Ready condition of an ExternalSecret has a reason and its
// message holds words.
func (w *world) es(name, reason, words string) *v1.ExternalSecret {
	w.Helper()
	return await(w, &v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}, name+" "+reason+" "+words, func(es *v1.ExternalSecret) bool {
		c := v1.FindCondition(es.Status.Conditions, v1.ConditionReady)
		return c != nil && c.Reason == reason && strings.Contains(c.Message, words)
	})
}

// secret waits until a Secret's data is as wanted.
func (w *world) secret(name string, want map[string]string) *corev1.Secret {
	w.Helper()
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}
	return await(w, s, fmt.Sprintf("Secret %s with %d keys", name, len(want)), func(s *corev1.Secret) bool {
		if len(s.Data) != len(want) {
			return false
		}
		for k, v := range want {
			if string(s.Data[k]) != v {
				return false
			}
		}
		return true
	})
}
