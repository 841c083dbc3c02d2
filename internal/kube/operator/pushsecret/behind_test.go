package pushsecret

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/pushsecret/measure"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func schemeOf(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

// Guards against looking every 20 ms, for ever, at what went back with a restored etcd.
func TestObjectThatWentBack(t *testing.T) {
	gone := metav1.NewTime(noon)
	ps := &v1alpha1.PushSecret{ObjectMeta: metav1.ObjectMeta{
		Namespace: "team", Name: "app", ResourceVersion: "5", DeletionTimestamp: &gone, Finalizers: []string{"example.com/another"},
	}}
	clock := clocktesting.NewFakePassiveClock(noon)
	r := New(Config{Client: fake.NewClientBuilder().WithScheme(schemeOf(t)).WithObjects(ps).Build(), Clock: clock, Metrics: measure.NewMetrics()})
	req := ctrl.Request{NamespacedName: client.ObjectKeyFromObject(ps)}
	r.memories.patched(req.NamespacedName, target.Patch{Version: "1000000", At: noon})
	look := func() ctrl.Result {
		t.Helper()
		result, err := r.Reconcile(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	if got := look(); got.RequeueAfter == 0 || r.memories.get(req.NamespacedName).status.Version == "" {
		t.Errorf("the cache is behind, and the object is worked on: %+v", got)
	}
	clock.SetTime(noon.Add(target.CacheLag + time.Second))
	if got := look(); got.RequeueAfter != 0 || r.memories.get(req.NamespacedName).status.Version != "" { // deleted, it is forgotten
		t.Errorf("it is still waited for: %+v", got)
	}
}
