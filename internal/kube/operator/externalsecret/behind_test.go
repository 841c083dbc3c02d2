package externalsecret

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/subscribe"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

type noWishes struct{}

func (noWishes) Want(types.NamespacedName, []subscribe.Wish) {}
func (noWishes) Forget(types.NamespacedName)                 {}
func (noWishes) Connected(v1.StoreKey) bool                  { return false }

type noMetrics struct{}

func (noMetrics) Synced(*v1.ExternalSecret, time.Duration, error) {}
func (noMetrics) Forget(string, string)                           {}

// Guards against looking every 20 ms, for ever, at what went back with a restored etcd.
func TestObjectThatWentBack(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	es := &v1.ExternalSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app", ResourceVersion: "5"}}
	es.Spec.SecretStoreRef.Name, es.Spec.Data = "gone", []v1.ExternalSecretData{{SecretKey: "k"}}
	clock := clocktesting.NewFakePassiveClock(noon)
	r := New(Config{
		Client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(es).Build(),
		Clock:  clock, Wishes: noWishes{}, Metric: noMetrics{}, Class: "ours", Only: true,
	})
	req := ctrl.Request{NamespacedName: client.ObjectKeyFromObject(es)}
	r.memories.change(req.NamespacedName, func(e *entry) { e.status = target.Patch{Version: "1000000", At: noon} })
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
	if got := look(); got.RequeueAfter != 0 || r.memories.get(req.NamespacedName).status.Version != "" { // nobody's, it is forgotten
		t.Errorf("it is still waited for: %+v", got)
	}
}
