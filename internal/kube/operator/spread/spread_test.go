package spread

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
)

// calls counts what is asked of a cluster.
type calls struct{ lists, writes int }

func (c *calls) funcs() interceptor.Funcs {
	return interceptor.Funcs{
		List: func(ctx context.Context, w client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			c.lists++
			return w.List(ctx, list, opts...)
		},
		Patch: func(ctx context.Context, w client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			c.writes++
			return w.Patch(ctx, o, p, opts...)
		},
		Delete: func(ctx context.Context, w client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			c.writes++
			return w.Delete(ctx, o, opts...)
		},
		SubResourcePatch: func(ctx context.Context, w client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			c.writes++
			return w.SubResource(sub).Patch(ctx, o, p, opts...)
		},
	}
}

// 1,000 namespaces that are as they are to be cost two looks at the cache and one
// write of the status, and then none.
func TestCalls(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	parent := &v1.ClusterExternalSecret{ObjectMeta: metav1.ObjectMeta{Name: "p", UID: "uid"}}
	parent.Spec.NamespaceSelectors = []*metav1.LabelSelector{{MatchLabels: map[string]string{"a": "b"}}}
	parent.Spec.ExternalSecretMetadata.Labels = map[string]string{"x": "y"}
	kind := ExternalSecrets()
	w := kind.read(parent)
	b := fake.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(parent).WithObjects(parent)
	yes := true
	for i := range 1000 {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("ns-", i), Labels: map[string]string{"a": "b"}}}
		child := &v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{
			Namespace: ns.Name, Name: "p", Labels: w.labels, Annotations: w.annotations,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: kind.version, Kind: kind.name, Name: "p", UID: "uid", Controller: &yes}},
		}}
		b = b.WithObjects(ns, child)
	}
	c := &calls{}
	b = b.WithIndex(&v1.ExternalSecret{}, byOwner, func(o client.Object) []string {
		if owner := metav1.GetControllerOf(o); owner != nil {
			return []string{string(owner.UID)}
		}
		return nil
	}).WithInterceptorFuncs(c.funcs())
	r := New(Config{Kind: kind, Client: b.Build(), Clock: clock.RealClock{}, Log: slog.New(slog.DiscardHandler),
		Event: func(client.Object, string, string, string) {}, Metrics: NewMetrics()})
	for _, writes := range []int{1, 0} {
		*c = calls{}
		if _, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Name: "p"}}); err != nil {
			t.Fatal(err)
		}
		if c.lists != 2 || c.writes != writes {
			t.Errorf("%d lists and %d writes, want 2 and %d", c.lists, c.writes, writes)
		}
	}
	if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(parent), parent); err != nil || len(parent.Status.ProvisionedNamespaces) != 1000 || !v1.IsReady(parent.Status.Conditions) {
		t.Errorf("%d namespaces (%v)", len(parent.Status.ProvisionedNamespaces), err)
	}
}

// What was given and is given no more makes another fingerprint; the object's own
// name stands in for a missing one.
func TestRead(t *testing.T) {
	o := &v1.ClusterExternalSecret{ObjectMeta: metav1.ObjectMeta{Name: "p", Annotations: map[string]string{AnnotationForce: "1"}}}
	o.Spec.NamespaceSelector = &metav1.LabelSelector{}
	plain := readExternalSecrets(o)
	if plain.name != "p" || plain.annotations[AnnotationForce] != "1" || len(plain.selectors) != 1 || plain.every != 0 {
		t.Errorf("%+v", plain)
	}
	o.Spec.ExternalSecretName, o.Spec.RefreshInterval = "other", &metav1.Duration{Duration: 5}
	o.Spec.ExternalSecretMetadata.Labels = map[string]string{"a": "b"}
	more := readExternalSecrets(o)
	if more.name != "other" || more.every != 5 || more.annotations[v1.AnnotationSpread] == plain.annotations[v1.AnnotationSpread] {
		t.Errorf("%+v", more)
	}
	if got := PushSecrets().read(&v1alpha1.ClusterPushSecret{ObjectMeta: metav1.ObjectMeta{Name: "q"}}); got.name != "q" {
		t.Errorf("%+v", got)
	}
}
