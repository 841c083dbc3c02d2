package pushsecret

import (
	"context"
	"slices"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
)

// guard keeps stores of one kind from being deleted while something is to be deleted
// from them one day.
type guard struct {
	r    *Reconciler
	kind string
}

func (g *guard) object() v1.Store {
	if g.kind == v1.KindClusterSecretStore {
		return &v1.ClusterSecretStore{}
	}
	return &v1.SecretStore{}
}

// Reconcile implements reconcile.Reconciler.
func (g *guard) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	store := g.object()
	if err := g.r.Client.Get(ctx, req.NamespacedName, store); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	users, err := g.r.at(ctx, byStore, store.GetNamespace(), v1.KeyOf(store).String())
	if err != nil {
		return ctrl.Result{}, err
	}
	wanted := slices.ContainsFunc(users, func(ps v1alpha1.PushSecret) bool { return slices.Contains(ps.Finalizers, v1alpha1.Finalizer) })
	has := slices.Contains(store.GetFinalizers(), v1alpha1.StoreFinalizer)
	if wanted == has || wanted && (!store.GetDeletionTimestamp().IsZero() || !g.r.lookup().Answers(store)) {
		return ctrl.Result{}, nil
	}
	before := store.DeepCopyObject().(v1.Store)
	finalizers := slices.DeleteFunc(slices.Clone(store.GetFinalizers()), func(f string) bool { return f == v1alpha1.StoreFinalizer })
	if wanted {
		finalizers = append(finalizers, v1alpha1.StoreFinalizer)
	}
	store.SetFinalizers(finalizers)
	err = g.r.Client.Patch(ctx, store, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	return ctrl.Result{}, client.IgnoreNotFound(err)
}

func (g *guard) setup(mgr ctrl.Manager) error {
	skip := true
	stores := predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return !slices.Equal(e.ObjectOld.GetFinalizers(), e.ObjectNew.GetFinalizers()) || !e.ObjectNew.GetDeletionTimestamp().IsZero()
	}}
	return ctrl.NewControllerManagedBy(mgr).
		Named("pushsecret-"+g.kind).
		WithOptions(controller.Options{MaxConcurrentReconciles: 1, SkipNameValidation: &skip}).
		For(g.object(), builder.WithPredicates(stores)).
		Watches(&v1alpha1.PushSecret{}, handler.Funcs{
			CreateFunc: func(_ context.Context, e event.CreateEvent, q queue) { g.look(e.Object, q) },
			UpdateFunc: func(_ context.Context, e event.UpdateEvent, q queue) {
				g.look(e.ObjectOld, q) // what is no longer used, too
				g.look(e.ObjectNew, q)
			},
			DeleteFunc: func(_ context.Context, e event.DeleteEvent, q queue) { g.look(e.Object, q) },
		}).
		Complete(g)
}

func (g *guard) look(o client.Object, q queue) {
	ps, ok := o.(*v1alpha1.PushSecret)
	if !ok {
		return
	}
	for _, k := range storesOf(ps) {
		if k.Kind == g.kind {
			q.Add(reconcile.Request{NamespacedName: k.NamespacedName()})
		}
	}
}
