package reload

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/content"
)

// byContent is the index of workloads by what they use, as entries of stamps;
// those that name objects by patterns are at the entry "KIND/*" too.
const byContent = "strongkeep.content"

// Setup registers the index and the watches with mgr. The controller's name is
// "reload-" and the kind.
func (r *Reconciler) Setup(ctx context.Context, mgr ctrl.Manager, name string) error {
	if err := mgr.GetFieldIndexer().IndexField(ctx, r.Object, byContent, index); err != nil {
		return err
	}
	skip := true
	return ctrl.NewControllerManagedBy(mgr).
		Named("reload-"+name).
		WithOptions(controller.Options{MaxConcurrentReconciles: 8, SkipNameValidation: &skip}).
		For(r.Object).
		WatchesMetadata(&corev1.Secret{}, r.changes(content.Secret)).
		WatchesMetadata(&corev1.ConfigMap{}, r.changes(content.ConfigMap)).
		Complete(r)
}

func index(o client.Object) []string {
	_, template, ok := consumer.WorkloadOf(o)
	if !ok || template == nil {
		return nil
	}
	s := Read(o.GetAnnotations(), template.Annotations)
	if s.Way == "" {
		return nil
	}
	out := content.References(&template.Spec)
	for kind := range prefixes() {
		if s.Patterns(kind) {
			out = append(out, string(kind)+"/*")
		}
	}
	return out
}

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// changes enqueues the workloads that an object may matter to.
func (r *Reconciler) changes(kind content.Kind) handler.EventHandler {
	enqueue := func(ctx context.Context, o client.Object, q queue) {
		entry := content.Object{Kind: kind, NamespacedName: client.ObjectKeyFromObject(o)}.Entry()
		for _, at := range []string{entry, string(kind) + "/*"} {
			list := r.List.DeepCopyObject().(client.ObjectList)
			err := r.Cached.List(ctx, list, client.InNamespace(o.GetNamespace()), client.MatchingFields{byContent: at}, client.UnsafeDisableDeepCopy)
			if err == nil {
				err = meta.EachListItem(list, func(item runtime.Object) error {
					if w, ok := item.(client.Object); ok {
						q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(w)})
					}
					return nil
				})
			}
			if err != nil {
				r.Log.Error("listing workloads in the cache", "of", entry, "error", err)
			}
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) {
			if !e.IsInInitialList { // at the start every workload is looked at anyway
				enqueue(ctx, e.Object, q)
			}
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			if e.ObjectOld.GetResourceVersion() != e.ObjectNew.GetResourceVersion() {
				enqueue(ctx, e.ObjectNew, q)
			}
		},
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, _ queue) {
			r.Digests.Forget(content.Object{Kind: kind, NamespacedName: client.ObjectKeyFromObject(e.Object)})
		},
	}
}
