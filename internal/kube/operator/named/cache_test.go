package named

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
)

var key = types.NamespacedName{Namespace: "team", Name: "own"}

func of(name string) *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name, Labels: map[string]string{"l": "1"}}}
	m.SetGroupVersionKind(secrets().kind)
	return m
}

func over(t *testing.T, objects ...runtime.Object) (*Cache, *fake.FakeMetadataClient) {
	t.Helper()
	scheme := fake.NewTestScheme()
	if err := metav1.AddMetaToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	live := fake.NewSimpleMetadataClient(scheme, objects...)
	return &Cache{live: live, log: slog.New(slog.DiscardHandler), watches: map[types.NamespacedName]toolscache.SharedIndexInformer{}}, live
}

// Before its watch has begun a Secret is read from the API server, and a role that
// does not name it is said to be the cause.
func TestBeforeTheWatch(t *testing.T) {
	c, live := over(t, of("own"))
	got := of("")
	if err := c.Get(t.Context(), key, got); err != nil || got.Labels["l"] != "1" || got.Kind != "Secret" {
		t.Errorf("%v: %v", got, err)
	}
	if err := c.Get(t.Context(), types.NamespacedName{Namespace: "team", Name: "none"}, of("")); !apierrors.IsNotFound(err) {
		t.Errorf("none: %v", err)
	}
	live.PrependReactor("get", "secrets", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewForbidden(secrets().resource.GroupResource(), "own", nil)
	})
	if err := c.Get(t.Context(), key, of("")); !errs.Is(err, errs.Denied) || !apierrors.IsForbidden(err) {
		t.Errorf("forbidden: %v", err)
	}
}

// Secrets cannot be listed, whichever way.
func TestNoLists(t *testing.T) {
	c, _ := over(t, of("own"))
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
	for _, l := range []client.ObjectList{list, &corev1.SecretList{}} {
		if err := c.List(t.Context(), l); !errs.Is(err, errs.Unsupported) {
			t.Errorf("%T: %v", l, err)
		}
	}
	if err := (*informer)(c).AddIndexers(nil); !errs.Is(err, errs.Unsupported) {
		t.Error(err)
	}
}

// Handlers hear of Secrets that were watched before them and after, until they are removed;
// then what is watched answers, with what the watch has brought.
func TestWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, live := over(t, of("own"), of("later"))
		ctx, cancel := context.WithCancel(t.Context())
		c.running = ctx
		heard := map[string]int{}
		events := make(chan string, 100)
		handler := toolscache.ResourceEventHandlerFuncs{AddFunc: func(o any) { events <- o.(*metav1.PartialObjectMetadata).Name }}
		c.Watch("team", "own")
		i, err := c.GetInformer(ctx, of(""))
		if err != nil {
			t.Fatal(err)
		}
		r, err := i.AddEventHandler(handler)
		if err != nil || !r.HasSynced() || !i.HasSynced() || i.IsStopped() {
			t.Fatal(err)
		}
		c.Watch("team", "later")
		c.Watch("team", "later") // once is enough
		synctest.Wait()
		for len(events) > 0 {
			heard[<-events]++
		}
		if heard["own"] == 0 || heard["later"] == 0 {
			t.Errorf("heard of %v", heard)
		}
		if len(c.watches) != 2 {
			t.Errorf("%d watches", len(c.watches))
		}
		if err := i.RemoveEventHandler(r); err != nil {
			t.Fatal(err)
		}
		if err := live.Tracker().Add(of("new")); err != nil {
			t.Fatal(err)
		}
		c.Watch("team", "new")
		synctest.Wait()
		if len(events) > 0 {
			t.Error("who was removed still hears")
		}
		reads := len(live.Actions())
		got := of("")
		if err := c.Get(ctx, key, got); err != nil || got.Name != "own" || got.Kind != "Secret" {
			t.Errorf("%v: %v", got, err)
		}
		got.Labels["l"] = "changed"
		if err := c.Get(ctx, key, got); err != nil || got.Labels["l"] != "1" {
			t.Error("who reads from it can change it")
		}
		if err := live.Tracker().Delete(secrets().resource, "team", "own"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := c.Get(ctx, key, got); !apierrors.IsNotFound(err) {
			t.Errorf("deleted: %v", err)
		}
		if n := len(live.Actions()) - reads; n != 0 {
			t.Errorf("%d requests for what is watched", n)
		}
		cancel()
		c.all.Wait()
		if !i.IsStopped() {
			t.Error("it does not say that it has ended")
		}
	})
}

// failing is a cache that cannot start.
type failing struct{ cache.Cache }

func (failing) Start(context.Context) error { return errs.New(errs.Unavailable, "it cannot start") }

// What is under it ending, for whatever reason, ends its watches too, and is told.
func TestStartEndsWithWhatIsUnder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := over(t, of("own"))
		c.Cache = failing{}
		c.Watch("team", "own")
		if err := c.Start(t.Context()); !errs.Is(err, errs.Unavailable) {
			t.Errorf("%v", err)
		}
		c.Watch("team", "later")
		synctest.Wait() // no watch is left
		if !(*informer)(c).IsStopped() {
			t.Error("it goes on")
		}
	})
}
