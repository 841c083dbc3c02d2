package pushsecret

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/pushsecret/measure"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
)

// barred are stores that nothing can be deleted from.
type barred struct{ err error }

func (b barred) Write(context.Context, v1.Store, provider.Write) error  { return b.err }
func (b barred) Delete(context.Context, v1.Store, provider.Place) error { return b.err }
func (b barred) Exists(context.Context, v1.Store, provider.Place) (bool, error) {
	return false, b.err
}
func (barred) LocateKey(context.Context, v1.Store, string) (string, error) { return "", nil }

// Guards namespaces that never go: what was pushed holds them up for as long as there is hope,
// and never longer than an hour. Who deletes a PushSecret alone is waited for.
func TestLetGo(t *testing.T) {
	gone := provider.Reference(errs.New(errs.Unavailable, `Secret "team/credentials" does not exist`))
	down := errs.New(errs.Unavailable, "connection refused")
	for name, c := range map[string]struct {
		kind                string
		namespace, together bool // is deleted, and the store is
		err                 error
		after               time.Duration // 0: never
	}{
		"the namespace, credentials gone":          {v1.KindSecretStore, true, true, gone, settle},
		"the namespace, store not deleted yet":     {v1.KindSecretStore, true, false, gone, settle},
		"the namespace, store down":                {v1.KindSecretStore, true, true, down, giveUp},
		"the namespace, a shared store":            {v1.KindClusterSecretStore, true, false, gone, giveUp},
		"the namespace, a shared store down":       {v1.KindClusterSecretStore, true, false, down, giveUp},
		"the store with it, credentials gone":      {v1.KindSecretStore, false, true, gone, settle},
		"the store with it, down":                  {v1.KindSecretStore, false, true, down, giveUp},
		"nothing but itself, credentials gone":     {v1.KindSecretStore, false, false, gone, 0},
		"nothing but itself, the store being down": {v1.KindSecretStore, false, false, down, 0},
	} {
		l := newLeaving(t, c.kind, c.namespace, c.together, c.err)
		steps := []time.Duration{0, settle - time.Second, settle, giveUp - time.Second, giveUp, 100 * giveUp}
		for _, since := range steps {
			l.clock.SetTime(noon.Add(since))
			l.forgive()
			if _, err := l.Reconcile(t.Context(), l.req); err != nil {
				t.Fatal(name, err)
			}
			if want := c.after == 0 || since < c.after; l.there() != want {
				t.Fatalf("%s: after %s it is there: %v, want %v", name, since, !want, want)
			}
			if !l.there() {
				break
			}
		}
		said := slices.ContainsFunc(l.events, func(e string) bool {
			return strings.HasPrefix(e, "PushSecret LeftBehind") && strings.Contains(e, "pushed/x/k")
		})
		about := slices.ContainsFunc(l.events, func(e string) bool {
			return strings.HasPrefix(e, "Namespace LeftBehind") && !strings.Contains(e, "pushed/x")
		})
		if left := c.after > 0; said != left || about != (left && c.namespace) {
			t.Errorf("%s: events %q", name, l.events)
		}
		const counter = "strongkeep_pushsecret_left_behind_total"
		if err := testutil.CollectAndCompare(l.Metrics, strings.NewReader(fmt.Sprintf(
			"# HELP %s Places in stores that were to be deleted, could not be, and were let go.\n# TYPE %[1]s counter\n%[1]s %[2]d\n", counter, min(1, int(c.after)))), counter); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// leaving is a PushSecret that is being deleted, since noon.
type leaving struct {
	*testing.T
	*Reconciler
	clock  *clocktesting.FakePassiveClock
	req    ctrl.Request
	events []string
}

func newLeaving(t *testing.T, kind string, namespace, together bool, err error) *leaving {
	t.Helper()
	since := metav1.NewTime(noon)
	ps := &v1alpha1.PushSecret{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app", DeletionTimestamp: &since, Finalizers: []string{v1alpha1.Finalizer}}}
	ps.Spec.DeletionPolicy = v1alpha1.DeletionDelete
	ps.Spec.SecretStoreRefs = []v1alpha1.PushSecretStoreRef{{Name: "vault", Kind: kind}}
	d := v1alpha1.PushSecretData{}
	d.Match.RemoteRef.RemoteKey, d.Match.RemoteRef.Property = "pushed/x", "k"
	ps.Status.SyncedPushSecrets = v1alpha1.SyncedPushSecrets{kind + "/vault": {"pushed/x/k": d}}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}}
	if namespace {
		ns.DeletionTimestamp, ns.Finalizers = &since, []string{"example.com/held"}
	}
	var store v1.Store = &v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "vault"}}
	if kind == v1.KindClusterSecretStore {
		store = &v1.ClusterSecretStore{ObjectMeta: metav1.ObjectMeta{Name: "vault"}}
	}
	if together {
		store.SetDeletionTimestamp(&since)
		store.SetFinalizers([]string{v1alpha1.StoreFinalizer})
	}
	l := &leaving{T: t, clock: clocktesting.NewFakePassiveClock(noon), req: ctrl.Request{NamespacedName: client.ObjectKeyFromObject(ps)}}
	l.Reconciler = New(Config{
		Client: fake.NewClientBuilder().WithScheme(schemeOf(t)).WithObjects(ps, ns, store).WithStatusSubresource(ps).Build(),
		Stores: barred{err}, Clock: l.clock, Log: slog.New(slog.DiscardHandler), Metrics: measure.NewMetrics(), ClusterStores: true,
		Event: func(about client.Object, _, reason, message string) {
			kind := "PushSecret"
			if about.GetName() == "team" {
				kind = "Namespace"
			}
			l.events = append(l.events, kind+" "+reason+": "+message)
		},
	})
	return l
}

// forgive lets the next try be at once.
func (l *leaving) forgive() {
	l.memories.change(l.req.NamespacedName, func(m *memory) { m.again = time.Time{} })
}

func (l *leaving) there() bool {
	l.Helper()
	err := l.Client.Get(l.Context(), l.req.NamespacedName, &v1alpha1.PushSecret{})
	if err != nil && !apierrors.IsNotFound(err) {
		l.Fatal(err)
	}
	return err == nil
}
