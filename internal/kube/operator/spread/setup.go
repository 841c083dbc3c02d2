package spread

import (
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

type runtimeObject = runtime.Object

// Indexes in the cache: of children by the UID of their owner, of objects by the
// name of their children.
const (
	byOwner = "strongkeep.spread"
	byChild = "strongkeep.child"
)

// Setup registers indexes and watches with mgr.
func (r *Reconciler) Setup(ctx context.Context, mgr ctrl.Manager) error {
	indexer := mgr.GetFieldIndexer()
	if err := indexer.IndexField(ctx, r.Kind.newChild(), byOwner, func(o client.Object) []string {
		if c := metav1.GetControllerOf(o); c != nil && c.Kind == r.Kind.name {
			return []string{string(c.UID)}
		}
		return nil
	}); err != nil {
		return err
	}
	if err := indexer.IndexField(ctx, r.Kind.object(), byChild, func(o client.Object) []string { return []string{r.Kind.read(o).name} }); err != nil {
		return err
	}
	skip := true
	return ctrl.NewControllerManagedBy(mgr).
		Named(r.Kind.metric).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4, SkipNameValidation: &skip}).
		For(r.Kind.object(), builder.WithPredicates(changed())).
		Watches(r.Kind.newChild(), handler.EnqueueRequestsFromMapFunc(r.ofChild), builder.WithPredicates(changed())).
		WatchesMetadata(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.all), builder.WithPredicates(namespaces())).
		Complete(r)
}

// changed lets through what is not a patch of a status.
func changed() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		a, b := e.ObjectOld, e.ObjectNew
		return a.GetGeneration() != b.GetGeneration() || a.GetUID() != b.GetUID() || !b.GetDeletionTimestamp().IsZero() ||
			!maps.Equal(a.GetLabels(), b.GetLabels()) || !maps.Equal(a.GetAnnotations(), b.GetAnnotations()) ||
			len(a.GetOwnerReferences()) != len(b.GetOwnerReferences())
	}}
}

func namespaces() predicate.Predicate {
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return !e.IsInInitialList }, // at the start every object is looked at anyway
		UpdateFunc: func(e event.UpdateEvent) bool {
			return !maps.Equal(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels()) || !e.ObjectNew.GetDeletionTimestamp().IsZero()
		},
	}
}

// ofChild returns the objects that own a child, or want one of its name.
func (r *Reconciler) ofChild(ctx context.Context, o client.Object) []reconcile.Request {
	requests := r.requests(ctx, client.MatchingFields{byChild: o.GetName()})
	if c := metav1.GetControllerOf(o); c != nil && c.Kind == r.Kind.name {
		owner := reconcile.Request{NamespacedName: types.NamespacedName{Name: c.Name}}
		if !slices.Contains(requests, owner) {
			requests = append(requests, owner)
		}
	}
	return requests
}

func (r *Reconciler) all(ctx context.Context, _ client.Object) []reconcile.Request {
	return r.requests(ctx)
}

func (r *Reconciler) requests(ctx context.Context, options ...client.ListOption) (out []reconcile.Request) {
	list := r.Kind.list()
	err := r.Client.List(ctx, list, append(options, client.UnsafeDisableDeepCopy)...)
	if err == nil {
		err = meta.EachListItem(list, func(item runtimeObject) error {
			if o, ok := item.(client.Object); ok {
				out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(o)})
			}
			return nil
		})
	}
	if err != nil {
		r.Log.Error("listing in the cache", "kind", r.Kind.name, "error", err)
	}
	return out
}
