package operator

import (
	"context"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/content"
	"github.com/strongkeep/strongkeep/internal/kube/reload"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
)

// addReloaded registers the kinds that reloading and restarting need.
func addReloaded(s *runtime.Scheme) error {
	if err := appsv1.AddToScheme(s); err != nil {
		return err
	}
	return policyv1.AddToScheme(s)
}

// reloaded says how workloads are kept in caches: with what is looked at only.
func reloaded(cfg Config) map[client.Object]cache.ByObject {
	if cfg.NoReload {
		return nil
	}
	as := cache.ByObject{Transform: reload.Shrink}
	return map[client.Object]cache.ByObject{&appsv1.Deployment{}: as, &appsv1.StatefulSet{}: as, &appsv1.DaemonSet{}: as}
}

// reloads reports whether workloads are restarted without a rotation.
func (p parts) reloads(ctx context.Context) (bool, error) {
	if p.cfg.NoReload {
		return false, nil
	}
	return p.granted(ctx, &appsv1.DeploymentList{}, "reloading")
}

// newRoller returns what restarts workloads for reloading and rotation alike, so
// that both draw on one budget. reloads: workloads are in the manager's cache.
func (p parts) newRoller(reloads bool) (*rollout.Roller, error) {
	live, err := client.New(p.cfg.REST, client.Options{Scheme: p.mgr.GetScheme(), Mapper: p.mgr.GetRESTMapper()})
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "reaching the API server: %w", err)
	}
	cfg := rollout.Config{
		Client: live, Live: live, Cached: within{live, p.cfg.Namespaces}, ClusterMax: p.cfg.Rollouts,
		Keep: reload.Keep, Clock: clock.RealClock{}, Log: p.cfg.Log,
	}
	if reloads {
		cfg.Cached = p.mgr.GetCache()
	}
	return rollout.New(cfg), nil
}

// within lists namespace by namespace, for an operator that may not list all.
type within struct {
	client.Reader
	namespaces []string
}

func (w within) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	var o client.ListOptions
	o.ApplyOptions(opts)
	if o.Namespace != "" || len(w.namespaces) == 0 {
		return w.Reader.List(ctx, list, opts...)
	}
	var all []runtime.Object
	for _, ns := range w.namespaces {
		if err := w.Reader.List(ctx, list, append(opts, client.InNamespace(ns))...); err != nil {
			return err
		}
		some, err := meta.ExtractList(list)
		if err != nil {
			return err
		}
		all = append(all, some...)
	}
	return meta.SetList(list, all)
}

// setupReload starts what restarts workloads whose Secrets and ConfigMaps change.
func (p parts) setupReload(ctx context.Context, roll *rollout.Roller) error {
	metrics := reload.NewMetrics()
	if err := p.metrics.registry.Register(metrics); err != nil {
		return errs.Newf(errs.Internal, "registering the metrics of reloading: %w", err)
	}
	live := p.mgr.GetAPIReader()
	cfg := reload.Config{
		Client: p.mgr.GetClient(), Cached: p.mgr.GetCache(), Live: live, Digests: content.New(live, p.key),
		Roller: roll, Settle: p.cfg.ReloadSettle, Clock: clock.RealClock{}, Log: p.cfg.Log, Event: p.events.event, Metrics: metrics,
	}
	kinds := map[string]reload.Config{}
	add := func(o client.Object, list client.ObjectList, name string) {
		cfg.Object, cfg.List = o, list
		kinds[name] = cfg
	}
	add(&appsv1.Deployment{}, &appsv1.DeploymentList{}, "deployment")
	add(&appsv1.StatefulSet{}, &appsv1.StatefulSetList{}, "statefulset")
	add(&appsv1.DaemonSet{}, &appsv1.DaemonSetList{}, "daemonset")
	argo := consumer.KindRollout()
	switch _, err := p.mgr.GetRESTMapper().RESTMapping(argo.GroupKind(), argo.Version); {
	case err == nil:
		o, list := &unstructured.Unstructured{}, &unstructured.UnstructuredList{}
		o.SetGroupVersionKind(argo)
		list.SetGroupVersionKind(argo.GroupVersion().WithKind(argo.Kind + "List"))
		add(o, list, strings.ToLower(argo.Kind))
	case !meta.IsNoMatchError(err):
		return errs.Newf(errs.Unavailable, "looking for Argo Rollouts at the API server: %w", err)
	}
	for name, cfg := range kinds {
		if err := reload.New(cfg).Setup(ctx, p.mgr, name); err != nil {
			return err
		}
	}
	return nil
}
