package pushsecret

import (
	"context"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	generators "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/pushsecret/plan"
	"github.com/strongkeep/strongkeep/internal/kube/operator/share"
)

// Indexes of PushSecrets in the cache. Those that select by labels are at "*".
const (
	byStore    = "strongkeep.store"
	bySource   = "strongkeep.source"
	byTemplate = "strongkeep.template"

	byGenerator = "strongkeep.generator"

	byLabels = "*"
)

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// Setup registers indexes and watches with mgr.
func (r *Reconciler) Setup(ctx context.Context, mgr ctrl.Manager, concurrency int) error {
	for name, f := range map[string]client.IndexerFunc{byStore: indexStores, bySource: indexSources, byTemplate: indexTemplates, byGenerator: indexGenerators} {
		if err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.PushSecret{}, name, f); err != nil {
			return err
		}
	}
	r.share = share.New(concurrency)
	skip := true
	b := ctrl.NewControllerManagedBy(mgr).
		Named("pushsecret").
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency, SkipNameValidation: &skip}).
		For(&v1alpha1.PushSecret{}, builder.WithPredicates(specChanged())).
		WatchesMetadata(&corev1.Secret{}, eventsTo(func(ctx context.Context, o client.Object, q queue) {
			r.list(ctx, q, bySource, o.GetNamespace(), o.GetName(), byLabels)
			r.list(ctx, q, byTemplate, o.GetNamespace(), "Secret/"+o.GetName())
		})).
		WatchesMetadata(&corev1.ConfigMap{}, eventsTo(func(ctx context.Context, o client.Object, q queue) {
			r.list(ctx, q, byTemplate, o.GetNamespace(), "ConfigMap/"+o.GetName())
		})).
		Watches(&v1.SecretStore{}, eventsTo(r.storeEvent), builder.WithPredicates(storeChanged())).
		WatchesRawSource(r.share.Source()).
		WatchesRawSource(source.Func(func(_ context.Context, q queue) error {
			r.claims.Changed = func(key types.NamespacedName) {
				r.memories.wake(key)
				q.Add(reconcile.Request{NamespacedName: key})
			}
			return nil
		}))
	if r.ClusterStores {
		b = b.Watches(&v1.ClusterSecretStore{}, eventsTo(r.storeEvent), builder.WithPredicates(storeChanged()))
	}
	if r.Generators != nil {
		b = r.watchGenerators(b)
	}
	if err := b.Complete(r); err != nil {
		return err
	}
	kinds := []string{v1.KindSecretStore}
	if r.ClusterStores {
		kinds = append(kinds, v1.KindClusterSecretStore)
	}
	for _, kind := range kinds {
		if err := (&guard{r, kind}).setup(mgr); err != nil {
			return err
		}
	}
	return nil
}

// watchGenerators looks at who uses a generator when that changes, and at who uses a
// state that was renewed or is gone.
func (r *Reconciler) watchGenerators(b *builder.Builder) *builder.Builder {
	uses := func(kind string) handler.EventHandler {
		return eventsTo(func(ctx context.Context, o client.Object, q queue) {
			r.list(ctx, q, byGenerator, o.GetNamespace(), kind+"/"+o.GetName())
		})
	}
	for kind, object := range generators.New() {
		b = b.Watches(object, uses(kind), builder.WithPredicates(predicate.GenerationChangedPredicate{}))
	}
	if r.ClusterStores {
		b = b.Watches(&generators.ClusterGenerator{}, uses(generators.KindClusterGenerator), builder.WithPredicates(predicate.GenerationChangedPredicate{}))
	}
	return b.Watches(&generators.GeneratorState{}, handler.EnqueueRequestForOwner(r.Client.Scheme(), r.Client.RESTMapper(), &v1alpha1.PushSecret{}))
}

func (r *Reconciler) storeEvent(ctx context.Context, o client.Object, q queue) {
	if s, ok := o.(v1.Store); ok {
		r.list(ctx, q, byStore, s.GetNamespace(), v1.KeyOf(s).String(), byLabels+s.StoreKind())
	}
}

// list enqueues the PushSecrets at entries of an index; of every namespace when that
// is empty.
func (r *Reconciler) list(ctx context.Context, q queue, index, namespace string, values ...string) {
	for _, value := range values {
		found, err := r.at(ctx, index, namespace, value)
		if err != nil {
			r.Log.Error("listing PushSecrets in the cache", "index", index, "error", err)
			return
		}
		for i := range found {
			q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&found[i])})
		}
	}
}

func (r *Reconciler) at(ctx context.Context, index, namespace, value string) ([]v1alpha1.PushSecret, error) {
	var found v1alpha1.PushSecretList
	options := []client.ListOption{client.MatchingFields{index: value}, client.UnsafeDisableDeepCopy}
	if namespace != "" {
		options = append(options, client.InNamespace(namespace))
	}
	err := r.Client.List(ctx, &found, options...)
	return found.Items, err
}

// specChanged lets through what a person changed, and not our own patches.
func specChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		a, b := e.ObjectOld, e.ObjectNew
		return a.GetGeneration() != b.GetGeneration() || a.GetUID() != b.GetUID() || !b.GetDeletionTimestamp().IsZero() ||
			!maps.Equal(a.GetLabels(), b.GetLabels()) || !maps.Equal(a.GetAnnotations(), b.GetAnnotations())
	}}
}

// storeChanged lets through a change of a store's spec or labels, and that it became
// ready.
func storeChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		a, okA := e.ObjectOld.(v1.Store)
		b, okB := e.ObjectNew.(v1.Store)
		return !okA || !okB || a.GetGeneration() != b.GetGeneration() || a.GetUID() != b.GetUID() || !maps.Equal(a.GetLabels(), b.GetLabels()) ||
			!v1.IsReady(a.StoreStatus().Conditions) && v1.IsReady(b.StoreStatus().Conditions)
	}}
}

// eventsTo calls f for what is there after the start, and changed.
func eventsTo(f func(ctx context.Context, o client.Object, q queue)) handler.EventHandler {
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) {
			if !e.IsInInitialList { // at the start every PushSecret is looked at anyway
				f(ctx, e.Object, q)
			}
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			if e.ObjectOld.GetResourceVersion() != e.ObjectNew.GetResourceVersion() {
				if !maps.Equal(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels()) {
					f(ctx, e.ObjectOld, q)
				}
				f(ctx, e.ObjectNew, q)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { f(ctx, e.Object, q) },
	}
}

// storesOf returns the keys of the stores that ps names, or may have written to.
func storesOf(ps *v1alpha1.PushSecret) []v1.StoreKey {
	var keys []v1.StoreKey
	add := func(kind, name string) {
		if k := v1.KeyFor(v1.SecretStoreRef{Kind: kind, Name: name}, ps.Namespace); !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	for _, ref := range ps.Spec.SecretStoreRefs {
		if ref.Name != "" {
			add(ref.Kind, ref.Name)
		}
	}
	for name := range ps.Status.SyncedPushSecrets {
		kind, bare, _ := strings.Cut(name, "/")
		add(kind, bare)
	}
	return keys
}

func indexStores(o client.Object) []string {
	ps, ok := o.(*v1alpha1.PushSecret)
	if !ok {
		return nil
	}
	var out []string
	for _, k := range storesOf(ps) {
		out = append(out, k.String())
	}
	for _, ref := range ps.Spec.SecretStoreRefs {
		if ref.LabelSelector == nil {
			continue
		}
		kind := byLabels + v1.KindSecretStore
		if ref.Kind == v1.KindClusterSecretStore {
			kind = byLabels + v1.KindClusterSecretStore
		}
		if !slices.Contains(out, kind) {
			out = append(out, kind)
		}
	}
	return out
}

func indexSources(o client.Object) []string {
	ps, ok := o.(*v1alpha1.PushSecret)
	switch {
	case !ok || ps.Spec.Selector.Secret == nil:
		return nil
	case ps.Spec.Selector.Secret.Selector != nil:
		return []string{byLabels}
	}
	return []string{ps.Spec.Selector.Secret.Name}
}

func indexTemplates(o client.Object) []string {
	ps, ok := o.(*v1alpha1.PushSecret)
	if !ok {
		return nil
	}
	return plan.RefNames(&ps.Spec)
}

func indexGenerators(o client.Object) []string {
	ps, ok := o.(*v1alpha1.PushSecret)
	if !ok || ps.Spec.Selector.GeneratorRef == nil {
		return nil
	}
	ref := ps.Spec.Selector.GeneratorRef
	return []string{ref.Kind + "/" + ref.Name}
}
