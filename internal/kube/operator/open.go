package operator

import (
	"context"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	generators "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// openingTimeout is how long open may hold up the start: a kind that does not answer is
// its informer's to wait for.
const openingTimeout = 10 * time.Second

// custom are the kinds that are watched and that nothing else of a start asks for.
func custom(cfg Config) (kinds []schema.GroupVersionKind) {
	add := func(group schema.GroupVersion, names ...string) {
		for _, name := range names {
			kinds = append(kinds, group.WithKind(name))
		}
	}
	add(v1.GroupVersion(), v1.KindExternalSecret, v1.KindSecretStore)
	for kind := range generators.New() {
		add(generators.GroupVersion(), kind)
	}
	if !cfg.NoClusterStores {
		add(v1.GroupVersion(), v1.KindClusterSecretStore)
		add(generators.GroupVersion(), generators.KindClusterGenerator)
	}
	if !cfg.NoRotation {
		add(v1alpha1.GroupVersion(), "Rotation")
	}
	return kinds
}

// open asks for one object of each kind, all at once. An API server reads a custom kind
// from its storage only when somebody asks for it, and until it has done so puts off
// whoever watches for a second: one informer that waits for it would hold up all
// ExternalSecrets. What is wrong with an answer the informer finds out.
func open(ctx context.Context, live client.Reader, kinds []schema.GroupVersionKind, namespaces []string) {
	var all sync.WaitGroup
	for _, kind := range kinds {
		all.Go(func() {
			list := &metav1.PartialObjectMetadataList{}
			list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
			options := []client.ListOption{client.Limit(1)}
			if len(namespaces) > 0 {
				options = append(options, client.InNamespace(namespaces[0])) // of a kind that has none it is left out
			}
			_ = live.List(ctx, list, options...)
		})
	}
	all.Wait()
}
