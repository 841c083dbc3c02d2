package operator

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	generators "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
)

// together answers nobody before all have asked.
type together struct {
	client.Reader
	all sync.WaitGroup

	mu    sync.Mutex
	asked []string
}

func (r *together) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	var o client.ListOptions
	o.ApplyOptions(opts)
	r.mu.Lock()
	kind := list.(*metav1.PartialObjectMetadataList).GroupVersionKind()
	r.asked = append(r.asked, kind.Group+" "+kind.Kind+" in "+o.Namespace)
	if o.Limit != 1 {
		r.asked = append(r.asked, "more than one")
	}
	r.mu.Unlock()
	r.all.Done()
	r.all.Wait()
	return errors.New("a role that does not let it is the informer's to find out")
}

// At the start all custom kinds are asked for, at once: no start waits for one API
// server to open a dozen storages one after the other.
func TestOpen(t *testing.T) {
	cfg := Config{Namespaces: []string{"first", "second"}}
	kinds := custom(cfg)
	r := &together{}
	r.all.Add(len(kinds))
	open(t.Context(), r, kinds, cfg.Namespaces)
	var want []string
	for _, kind := range kinds {
		want = append(want, kind.Group+" "+kind.Kind+"List in first")
	}
	slices.Sort(want)
	slices.Sort(r.asked)
	if !slices.Equal(r.asked, want) {
		t.Errorf("asked for %q, want %q", r.asked, want)
	}
	for kind := range generators.New() {
		if !slices.Contains(want, generators.Group+" "+kind+"List in first") {
			t.Errorf("%s is watched and not asked for", kind)
		}
	}
	if few := custom(Config{NoClusterStores: true, NoRotation: true}); len(few) != len(kinds)-3 {
		t.Errorf("without what is for clusters, and without rotation: %v", few)
	}
}
