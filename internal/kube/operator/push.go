package operator

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/external/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/externalsecret/index"
	"github.com/strongkeep/strongkeep/internal/kube/operator/generate"
	"github.com/strongkeep/strongkeep/internal/kube/operator/pushsecret"
	"github.com/strongkeep/strongkeep/internal/kube/operator/pushsecret/measure"
	"github.com/strongkeep/strongkeep/internal/kube/operator/spread"
)

// pushConcurrency is how many PushSecrets are worked on at once.
const pushConcurrency = 8

// pushes reports whether there is what writes to stores: where it is wanted and the
// cluster has such objects.
func (p parts) pushes(ctx context.Context) (bool, error) {
	if p.cfg.NoPush {
		return false, nil
	}
	return p.served(ctx, &v1alpha1.PushSecretList{}, v1alpha1.KindPushSecret, "pushing")
}

// setupPush starts what writes to stores.
func (p parts) setupPush(ctx context.Context, makers *generate.Generators) error {
	metrics := measure.NewMetrics()
	if err := p.metrics.registry.Register(metrics); err != nil {
		return errs.Newf(errs.Internal, "registering the metrics of PushSecrets: %w", err)
	}
	r := pushsecret.New(pushsecret.Config{
		Client: p.mgr.GetClient(), Live: p.mgr.GetAPIReader(), Stores: p.pool, Key: p.key, Clock: clock.RealClock{},
		Makers: func(ctx context.Context, secret types.NamespacedName) ([]v1.ExternalSecret, error) {
			return index.Makers(ctx, p.mgr.GetClient(), secret)
		},
		Log: p.cfg.Log, Event: p.events.event, Metrics: metrics, Limits: p.cfg.TemplateLimits, Delimiters: p.cfg.TemplateDelimiters, Class: p.cfg.Class,
		ClusterStores: !p.cfg.NoClusterStores, Generators: makers,
	})
	return r.Setup(ctx, p.mgr, pushConcurrency)
}

// setupSpread starts what keeps ExternalSecrets, and PushSecrets if pushes, in many
// namespaces. Who works in some namespaces only leaves that to another.
func (p parts) setupSpread(ctx context.Context, pushes bool) error {
	if p.cfg.NoSpread || len(p.cfg.Namespaces) > 0 || p.cfg.NoClusterStores {
		return nil
	}
	metrics := spread.NewMetrics()
	if err := p.metrics.registry.Register(metrics); err != nil {
		return errs.Newf(errs.Internal, "registering the metrics of ClusterExternalSecrets: %w", err)
	}
	for _, k := range []struct {
		spread.Kind
		list client.ObjectList
		name string
		ok   bool
	}{
		{spread.ExternalSecrets(), &v1.ClusterExternalSecretList{}, v1.KindClusterExternalSecret, true},
		{spread.PushSecrets(), &v1alpha1.ClusterPushSecretList{}, "ClusterPushSecret", pushes},
	} {
		if !k.ok {
			continue
		}
		ok, err := p.served(ctx, k.list, k.name, k.name+"s")
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		r := spread.New(spread.Config{Kind: k.Kind, Client: p.mgr.GetClient(), Clock: clock.RealClock{}, Log: p.cfg.Log, Event: p.events.event, Metrics: metrics})
		if err := r.Setup(ctx, p.mgr); err != nil {
			return err
		}
	}
	return nil
}

// served reports whether the cluster has objects of a kind, and the operator's role
// lets it see them.
func (p parts) served(ctx context.Context, list client.ObjectList, kind, part string) (bool, error) {
	gvk, err := p.mgr.GetClient().GroupVersionKindFor(list)
	if err != nil {
		return false, errs.Newf(errs.Internal, "asking for %s: %w", kind, err)
	}
	gvk.Kind = kind
	if _, err := p.mgr.GetRESTMapper().RESTMapping(gvk.GroupKind(), gvk.Version); err != nil {
		if meta.IsNoMatchError(err) {
			p.cfg.Log.Warn("left out: the cluster has no such objects; install deploy/crds and start the operator again", "part", part, "kind", kind)
			return false, nil
		}
		return false, errs.Newf(errs.Unavailable, "looking for %s at the API server: %w", kind, err)
	}
	return p.granted(ctx, list, part)
}
