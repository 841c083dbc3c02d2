package controller

import (
	"context"
	"maps"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// Setup registers the watches with mgr: Rotations as people write them, and the
// RotationPolicies, after a change of which every Rotation is looked at.
func (r *Reconciler) Setup(mgr ctrl.Manager, concurrency int) error {
	skip := true
	return ctrl.NewControllerManagedBy(mgr).
		Named("rotation").
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency, SkipNameValidation: &skip}).
		For(&v1alpha1.Rotation{}, builder.WithPredicates(asked())).
		Watches(&v1alpha1.RotationPolicy{}, handler.EnqueueRequestsFromMapFunc(r.every), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Complete(r)
}

// asked lets through what people write, and not our own status.
func asked() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() || e.ObjectOld.GetUID() != e.ObjectNew.GetUID() ||
			!e.ObjectNew.GetDeletionTimestamp().IsZero() || !maps.Equal(e.ObjectOld.GetAnnotations(), e.ObjectNew.GetAnnotations())
	}}
}

func (r *Reconciler) every(ctx context.Context, _ client.Object) []reconcile.Request {
	all, err := r.rotations(ctx, r.Client)
	if err != nil {
		r.Log.Error("listing Rotations in the cache", "error", err)
		return nil
	}
	out := make([]reconcile.Request, len(all))
	for i := range all {
		out[i].NamespacedName = client.ObjectKeyFromObject(&all[i])
	}
	return out
}
