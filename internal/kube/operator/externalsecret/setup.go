package externalsecret

import (
	"context"

	corev1 "k8s.io/api/core/v1"
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
	generators "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/externalsecret/index"
	"github.com/strongkeep/strongkeep/internal/kube/operator/share"
	"github.com/strongkeep/strongkeep/internal/kube/operator/subscribe"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
)

// Setup registers indexes and watches with mgr. due carries reports that a
// store changed; it is not closed while mgr runs.
func (r *Reconciler) Setup(ctx context.Context, mgr ctrl.Manager, concurrency int, clusterStores bool, due <-chan subscribe.Due) error {
	for name, f := range index.Fields() {
		if err := mgr.GetFieldIndexer().IndexField(ctx, &v1.ExternalSecret{}, name, f); err != nil {
			return err
		}
	}
	r.share = share.New(concurrency)
	skip := true
	b := ctrl.NewControllerManagedBy(mgr).
		Named("externalsecret").
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrency, SkipNameValidation: &skip}).
		For(&v1.ExternalSecret{}, builder.WithPredicates(specChanged())).
		WatchesMetadata(&corev1.Secret{}, r.secretHandler()).
		WatchesMetadata(&corev1.ConfigMap{}, r.configMapHandler()).
		Watches(&v1.SecretStore{}, r.storeHandler(), builder.WithPredicates(storeChanged())).
		WatchesRawSource(r.share.Source()).
		WatchesRawSource(source.Func(func(ctx context.Context, q queue) error {
			go r.receive(ctx, due, q)
			return nil
		}))
	if clusterStores {
		b = b.Watches(&v1.ClusterSecretStore{}, r.storeHandler(), builder.WithPredicates(storeChanged()))
	}
	if r.Generators != nil {
		b = r.watchGenerators(b, clusterStores)
	}
	return b.Complete(r)
}

// watchGenerators looks at who uses a generator when that changes, and at who uses
// a state that is gone.
func (r *Reconciler) watchGenerators(b *builder.Builder, clusterWide bool) *builder.Builder {
	uses := func(kind string) handler.EventHandler {
		return eventsTo(func(ctx context.Context, o client.Object, _ bool, q queue) {
			r.list(ctx, q, indexed{index.ByGenerator, o.GetNamespace(), kind + "/" + o.GetName()}, r.always("a generator changed"))
		})
	}
	for kind, object := range generators.New() {
		b = b.Watches(object, uses(kind), builder.WithPredicates(predicate.GenerationChangedPredicate{}))
	}
	if clusterWide {
		b = b.Watches(&generators.ClusterGenerator{}, uses(generators.KindClusterGenerator), builder.WithPredicates(predicate.GenerationChangedPredicate{}))
	}
	return b.Watches(&generators.GeneratorState{}, handler.EnqueueRequestForOwner(r.Client.Scheme(), r.Client.RESTMapper(), &v1.ExternalSecret{}))
}

// receive ends with the manager's context.
func (r *Reconciler) receive(ctx context.Context, due <-chan subscribe.Due, q queue) {
	for {
		select {
		case <-ctx.Done():
			return
		case d := <-due:
			r.memories.setDue(d.Object, d.Why)
			q.Add(reconcile.Request{NamespacedName: d.Object})
		}
	}
}

// specChanged lets through what a person changed, and not our own status patches.
func specChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		a, okA := e.ObjectOld.(*v1.ExternalSecret)
		b, okB := e.ObjectNew.(*v1.ExternalSecret)
		return !okA || !okB || syncedVersion(a) != syncedVersion(b) || a.UID != b.UID || !b.DeletionTimestamp.IsZero()
	}}
}

// storeChanged lets through a change of a store's spec, and that it became ready.
func storeChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		a, okA := e.ObjectOld.(v1.Store)
		b, okB := e.ObjectNew.(v1.Store)
		return !okA || !okB || a.GetGeneration() != b.GetGeneration() || a.GetUID() != b.GetUID() ||
			!v1.IsReady(a.StoreStatus().Conditions) && v1.IsReady(b.StoreStatus().Conditions)
	}}
}

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// indexed is an entry of an index of ExternalSecrets; of every namespace when that is empty.
type indexed struct{ field, namespace, value string }

// list enqueues the ExternalSecrets at an index entry that f lets through.
func (r *Reconciler) list(ctx context.Context, q queue, at indexed, f func(*v1.ExternalSecret) bool) {
	var found v1.ExternalSecretList
	options := []client.ListOption{client.MatchingFields{at.field: at.value}, client.UnsafeDisableDeepCopy}
	if at.namespace != "" {
		options = append(options, client.InNamespace(at.namespace))
	}
	if err := r.Client.List(ctx, &found, options...); err != nil {
		r.Log.Error("listing ExternalSecrets in the cache", "index", at.field, "error", err)
		return
	}
	for i := range found.Items {
		if es := &found.Items[i]; f(es) {
			q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(es)})
		}
	}
}

func (r *Reconciler) secretHandler() handler.EventHandler {
	return eventsTo(func(ctx context.Context, o client.Object, gone bool, q queue) {
		r.touched(ctx, o, gone, q, o.GetName())
		r.list(ctx, q, indexed{index.ByTemplate, o.GetNamespace(), "Secret/" + o.GetName()}, r.always("a template Secret changed"))
	})
}

func (r *Reconciler) configMapHandler() handler.EventHandler {
	return eventsTo(func(ctx context.Context, o client.Object, gone bool, q queue) {
		r.touched(ctx, o, gone, q, index.ConfigMap+o.GetName())
		r.list(ctx, q, indexed{index.ByTemplate, o.GetNamespace(), "ConfigMap/" + o.GetName()}, r.always("a template ConfigMap changed"))
	})
}

// touched enqueues the ExternalSecrets whose target o is, as entry names it, unless o
// is as their last write left it.
func (r *Reconciler) touched(ctx context.Context, o client.Object, gone bool, q queue, entry string) {
	found, err := index.MakersOf(ctx, r.Client, client.ObjectKeyFromObject(o), entry)
	if err != nil {
		r.Log.Error("looking for ExternalSecrets in the cache", "target", entry, "error", err)
		return
	}
	for i := range found {
		key := client.ObjectKeyFromObject(&found[i])
		switch {
		case gone:
			r.memories.secretGone(key, o.GetUID())
		case r.memories.caughtUp(key, target.Version{UID: o.GetUID(), ResourceVersion: o.GetResourceVersion()}):
			continue
		}
		q.Add(reconcile.Request{NamespacedName: key})
	}
}

func (r *Reconciler) storeHandler() handler.EventHandler {
	return eventsTo(func(ctx context.Context, o client.Object, _ bool, q queue) {
		store, ok := o.(v1.Store)
		if !ok {
			return
		}
		r.list(ctx, q, indexed{index.ByStore, o.GetNamespace(), v1.KeyOf(store).String()}, func(es *v1.ExternalSecret) bool {
			if !keepsTarget(es) || isMerge(es) { // these carry no mark to tell by
				r.memories.setDue(client.ObjectKeyFromObject(es), "the store changed")
			}
			return true
		})
	})
}

// always enqueues every one; those that carry no mark are told what for.
func (r *Reconciler) always(why string) func(*v1.ExternalSecret) bool {
	return func(es *v1.ExternalSecret) bool {
		if isMerge(es) {
			r.memories.setDue(client.ObjectKeyFromObject(es), why)
		}
		return true
	}
}

type look func(ctx context.Context, o client.Object, gone bool, q queue)

func eventsTo(f look) handler.EventHandler {
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) {
			if !e.IsInInitialList { // at the start every ExternalSecret is looked at anyway
				f(ctx, e.Object, false, q)
			}
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			if e.ObjectOld.GetResourceVersion() != e.ObjectNew.GetResourceVersion() {
				f(ctx, e.ObjectNew, false, q)
			}
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) { f(ctx, e.Object, true, q) },
	}
}
