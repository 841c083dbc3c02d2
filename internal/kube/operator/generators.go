package operator

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	pushv1alpha1 "github.com/strongkeep/strongkeep/api/external/v1alpha1"
	generators "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/generator/state"
	"github.com/strongkeep/strongkeep/internal/kube/operator/generate"
	"github.com/strongkeep/strongkeep/internal/kube/operator/share"
)

// generators starts what takes credentials back and returns what makes them, nil where the cluster has no
// definitions of generators or the operator's role does not let it see them: an
// earlier release's.
func (p parts) generators(ctx context.Context, pushes bool) (*generate.Generators, error) {
	kinds := []string{generators.KindGeneratorState}
	if !p.cfg.NoClusterStores {
		kinds = append(kinds, generators.KindClusterGenerator)
	}
	for kind := range generators.New() {
		kinds = append(kinds, kind)
	}
	for _, kind := range kinds {
		if _, err := p.mgr.GetRESTMapper().RESTMapping(schema.GroupKind{Group: generators.Group, Kind: kind}, generators.GroupVersion().Version); err != nil {
			if meta.IsNoMatchError(err) {
				p.cfg.Log.Warn("nothing is generated: the cluster lacks a definition; install deploy/crds and start the operator again", "kind", kind)
				return nil, nil //nolint:nilnil // see above
			}
			return nil, errs.Newf(errs.Unavailable, "looking for generators at the API server: %w", err)
		}
	}
	if ok, err := p.granted(ctx, &generators.GeneratorStateList{}, "generators"); err != nil || !ok {
		return nil, err
	}
	if !p.cfg.NoClusterStores {
		err := p.mgr.GetAPIReader().List(ctx, &generators.ClusterGeneratorList{}, client.Limit(1))
		if apierrors.IsForbidden(err) {
			p.cfg.Log.Warn("left out: the operator's role lacks a permission; apply the roles of this release (strongkeep operator rbac) and start it again",
				"part", "generators", "error", err)
			return nil, nil //nolint:nilnil // see above
		}
	}
	seal, err := p.stateSeal()
	if err != nil {
		return nil, err
	}
	if err := p.setupStates(ctx, seal, pushes); err != nil {
		return nil, err
	}
	return generate.New(generate.Config{
		Reader: p.mgr.GetClient(), Kinds: p.cfg.Generators, Cluster: p.cluster(), Key: p.key, Clock: clock.RealClock{}, Log: p.cfg.Log,
		States: &state.Keeper{Client: p.mgr.GetClient(), Clock: clock.RealClock{}, Seal: seal},
		Class:  p.cfg.Class, ClusterWide: !p.cfg.NoClusterStores,
	}), nil
}

func (p parts) cluster() kube { return clusterOf(p.mgr, p.cfg) }

// stateSeal returns the seal of GeneratorStates.
func (p parts) stateSeal() (s state.Seal, err error) {
	s.Digest = func(text []byte) string { return p.key.Digest("generatorstate", map[string][]byte{"": text}) }
	s.Cipher, err = p.key.Cipher("generatorstate")
	return s, err
}

// statesByHolder is the index of GeneratorStates by what is to hold the credential.
const statesByHolder = "strongkeep.holder"

// setupStates starts what renews credentials and takes them back.
func (p parts) setupStates(ctx context.Context, seal state.Seal, pushes bool) error {
	if err := p.mgr.GetFieldIndexer().IndexField(ctx, &generators.GeneratorState{}, statesByHolder, func(o client.Object) []string {
		h := state.HolderOf(o)
		return []string{h.Kind + "/" + h.Name}
	}); err != nil {
		return err
	}
	r := state.New(state.Config{
		Client: p.mgr.GetClient(), Live: p.mgr.GetAPIReader(), Kinds: p.cfg.Generators, Cluster: p.cluster(), Clock: clock.RealClock{},
		Log: p.cfg.Log, Event: p.events.event, Metric: p.metrics, Owner: p.stateOwner, Pushes: pushes, Seal: seal,
	})
	workers := share.New(8)
	skip := true
	b := ctrl.NewControllerManagedBy(p.mgr).
		Named("generatorstate").
		WithOptions(controller.Options{MaxConcurrentReconciles: workers.Workers(), SkipNameValidation: &skip}).
		For(&generators.GeneratorState{}, builder.WithPredicates(state.Changed())).
		WatchesMetadata(&corev1.Secret{}, p.statesOf(state.Secret)).
		WatchesRawSource(workers.Source())
	if pushes {
		b = b.Watches(&pushv1alpha1.PushSecret{}, p.statesOf(state.PushSecret), builder.WithPredicates(predicate.AnnotationChangedPredicate{}))
	}
	return b.Complete(workers.Before(r))
}

// statesOf looks at the states whose credentials an object of a kind is to hold.
func (p parts) statesOf(kind string) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, holder client.Object) (out []reconcile.Request) {
		var list generators.GeneratorStateList
		if err := p.mgr.GetClient().List(ctx, &list, client.InNamespace(holder.GetNamespace()),
			client.MatchingFields{statesByHolder: kind + "/" + holder.GetName()}, client.UnsafeDisableDeepCopy); err != nil {
			p.cfg.Log.Error("listing GeneratorStates in the cache", "error", err)
			return nil
		}
		for i := range list.Items {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
		return out
	})
}

// stateOwner returns the ExternalSecret or PushSecret that a state was made for, nil
// when it is gone or going.
func (p parts) stateOwner(ctx context.Context, s *generators.GeneratorState) (client.Object, error) {
	ref := metav1.OwnerReference{}
	if len(s.OwnerReferences) > 0 {
		ref = s.OwnerReferences[0]
	}
	var owner client.Object = &v1.ExternalSecret{}
	if ref.Kind == pushv1alpha1.KindPushSecret {
		owner = &pushv1alpha1.PushSecret{}
	}
	err := p.mgr.GetClient().Get(ctx, types.NamespacedName{Namespace: s.Namespace, Name: ref.Name}, owner)
	if apierrors.IsNotFound(err) || err == nil && (owner.GetUID() != ref.UID || !owner.GetDeletionTimestamp().IsZero()) {
		return nil, nil //nolint:nilnil // there is none
	}
	return owner, err
}
