package controller

import (
	"context"
	"maps"
	"time"

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

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/lane"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/wake"
)

// Setup registers the watches with mgr: Rotations as people write them; the
// RotationPolicies, after a change of which every Rotation is looked at, unless
// none are looked at; and what Changed reports.
func (r *Reconciler) Setup(mgr ctrl.Manager, concurrency int, policies bool) error {
	skip := true
	b := ctrl.NewControllerManagedBy(mgr).
		Named("rotation").
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency, SkipNameValidation: &skip}).
		For(&v1alpha1.Rotation{}, builder.WithPredicates(asked())).
		WatchesRawSource(source.Func(func(ctx context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
			go r.receive(ctx, q)
			return nil
		}))
	if policies {
		b = b.Watches(&v1alpha1.RotationPolicy{}, handler.EnqueueRequestsFromMapFunc(r.every), builder.WithPredicates(predicate.GenerationChangedPredicate{}))
	}
	return b.Complete(lane.New(r, lane.Width(concurrency)))
}

// Changes of the cluster are collected for settle before a look, and for the rest of
// floor where they have had another one lately: a look asks for much.
const (
	settle = 100 * time.Millisecond
	floor  = 2 * time.Second
)

// Changed says that a pod or workload of a namespace that uses secrets came, changed
// or went. Rotations amid a turn that have one of them are looked at soon. It does
// not block.
func (r *Reconciler) Changed(namespace string, secrets []string) {
	if names := r.places.Users(namespace, secrets); len(names) > 0 {
		r.woken.Add(names)
	}
}

// receive ends with the manager's context.
func (r *Reconciler) receive(ctx context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	pace := wake.NewPace(r.Clock, settle, floor)
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.woken.Added():
			for _, name := range r.woken.Take() {
				q.AddAfter(reconcile.Request{NamespacedName: name}, pace.Wait(name))
			}
		}
	}
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
