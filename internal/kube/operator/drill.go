package operator

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder"
	"github.com/strongkeep/strongkeep/internal/kube/content"
	"github.com/strongkeep/strongkeep/internal/kube/drill"
	"github.com/strongkeep/strongkeep/internal/kube/drill/fault"
	"github.com/strongkeep/strongkeep/internal/kube/operator/gather"
	"github.com/strongkeep/strongkeep/internal/kube/operator/stores"
)

// faults returns what drills break, nil where there are to be none: only an
// operator that was told so can break anything.
func (p parts) faults(ctx context.Context) (*fault.Book, error) {
	if !p.cfg.Drills {
		return nil, nil
	}
	kind := v1alpha1.GroupVersion().WithKind("Drill")
	if _, err := p.mgr.GetRESTMapper().RESTMapping(kind.GroupKind(), kind.Version); err != nil {
		if meta.IsNoMatchError(err) {
			p.cfg.Log.Warn("there are no drills: the cluster does not know them; install deploy/crds and start the operator again")
			return nil, nil
		}
		return nil, errs.Newf(errs.Unavailable, "looking for Drills at the API server: %w", err)
	}
	if ok, err := p.granted(ctx, &v1alpha1.DrillList{}, "drills"); err != nil || !ok {
		return nil, err
	}
	return fault.New(p.mgr.GetClient(), clock.RealClock{}, func(uid string) string { return p.key.Digest("drill/"+uid, nil) }), nil
}

// setupDrills starts what begins and ends drills, if there are to be any.
func (p parts) setupDrills(wanted bool) error {
	if !wanted {
		return nil
	}
	live, err := client.NewWithWatch(p.cfg.REST, client.Options{Scheme: p.mgr.GetScheme(), Mapper: p.mgr.GetRESTMapper()})
	if err != nil {
		return errs.Newf(errs.Unavailable, "reaching the API server: %w", err)
	}
	metrics := drill.NewMetrics(clock.RealClock{})
	if err := p.metrics.registry.Register(metrics); err != nil {
		return errs.Newf(errs.Internal, "registering the metrics of Drills: %w", err)
	}
	lookup := stores.Lookup{Reader: p.mgr.GetClient(), Class: p.cfg.Class, Only: p.cfg.OnlyClass}
	r := drill.New(drill.Config{
		Client: p.mgr.GetClient(), Live: live,
		Finder: once{finder.Config{
			Cached: p.mgr.GetClient(), Live: live, Digests: content.New(live, p.key), Clock: clock.RealClock{}, Namespaces: p.cfg.Namespaces,
			Locate: p.pool.LocateKey,
		}},
		Locate: func(ctx context.Context, namespace string, w gather.Want) (string, error) {
			store, err := lookup.Store(ctx, namespace, w.Store)
			if err != nil {
				return "", err
			}
			return p.pool.LocateKey(ctx, store, w.Key)
		},
		Refresh: p.hub.Refresh, Clock: clock.RealClock{}, Log: p.cfg.Log, Event: p.events.event, Metrics: metrics,
		Namespaces: p.cfg.Namespaces, NoClusterStores: p.cfg.NoClusterStores,
	})
	return r.Setup(p.mgr)
}

// once finds consumers by one look at the API server, and watches and remembers
// nothing: a drill is rare.
type once struct{ cfg finder.Config }

func (o once) Find(ctx context.Context, w consumer.Wanted) (consumer.Graph, error) {
	f, err := finder.New(o.cfg)
	if err != nil {
		return consumer.Graph{}, err
	}
	return f.Find(ctx, w)
}
