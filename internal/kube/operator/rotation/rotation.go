package rotation

import (
	"log/slog"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder"
	"github.com/strongkeep/strongkeep/internal/kube/content"
	"github.com/strongkeep/strongkeep/internal/kube/operator/rbac"
	"github.com/strongkeep/strongkeep/internal/kube/operator/stores"
	optarget "github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/provider/session"
	"github.com/strongkeep/strongkeep/internal/kube/remote"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/measure"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence/application"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence/file"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/rehearse"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/restart"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/schedule"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target/outbound"
	"github.com/strongkeep/strongkeep/internal/kube/template"
)

// Config is what Setup needs. Fields without a default are required.
type Config struct {
	REST    *rest.Config
	Targets map[string]target.Kind // by their field of spec.target
	// Providers, by key under spec.provider, say where stores of other clusters have
	// what they read.
	Providers map[string]provider.Provider
	Pool      *session.Pool
	Stores    stores.Lookup
	Cluster   provider.Cluster
	Key       optarget.Key // of content digests
	// Refresh asks for an ExternalSecret to be read anew at once.
	Refresh func(es types.NamespacedName)
	Event   func(about client.Object, eventType, reason, message string)
	Metrics *measure.Metrics
	Log     *slog.Logger

	// Namespaces worked in; all when empty. NoCluster: objects that are in no
	// namespace, such as RotationPolicies, are left alone.
	Namespaces []string
	NoCluster  bool
	// Turns is how many may have consumers restarted at once; 10.
	Turns int
	// Roller restarts consumers: the one that everything of this process restarts by.
	Roller        *rollout.Roller
	EvidenceMount string // "evidence"
	// Outbound is whom the kubeconfigs of spec.consumers.clusters may name.
	Outbound outbound.Config
	// Witnesses is the namespace of the nodes' witnesses (deploy/witness); empty:
	// nodes are not asked. Account is the operator's own ServiceAccount.
	Witnesses   string
	Account     types.NamespacedName
	Concurrency int // Rotations worked on at once, and a quarter of them of one namespace; 16
	// RehearsalPods: rehearsals may run shadow pods, if they are asked to.
	RehearsalPods bool
	// TemplateDelimiters are those of the operator's templates, which shadow pods need.
	TemplateDelimiters template.Delimiters
	// ShowCopies: a Rotation may know of copies in every namespace.
	ShowCopies bool
}

// AddToScheme registers every kind that rotation reads or writes.
func AddToScheme(s *runtime.Scheme) error {
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, networkingv1.AddToScheme, policyv1.AddToScheme,
		v1.AddToScheme, v1alpha1.AddToScheme,
	} {
		if err := add(s); err != nil {
			return err
		}
	}
	return nil
}

// witnesses returns what asks nodes; nil where nobody is to be asked.
func witnesses(live client.Client, cfg Config) *file.Prober {
	if cfg.Witnesses == "" {
		return nil
	}
	return file.New(file.Config{Witnesses: &file.Pods{
		Reader: live, Client: live, Namespace: cfg.Witnesses, Account: cfg.Account, Clock: clock.RealClock{},
	}})
}

// Setup registers the controller with mgr, whose scheme has AddToScheme.
func Setup(mgr ctrl.Manager, cfg Config) error {
	live, err := client.NewWithWatch(cfg.REST, client.Options{Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper()})
	if err != nil {
		return errs.Newf(errs.Unavailable, "reaching the API server: %w", err)
	}
	digests := content.New(live, cfg.Key)
	others := remote.New(remote.Config{
		Live: live, Scheme: mgr.GetScheme(), Clock: clock.RealClock{}, Key: cfg.Key, Outbound: cfg.Outbound,
		KeySecret: rbac.KeySecret, KeyData: rbac.KeyData, Namespace: cfg.Account.Namespace,
	})
	var waker waker
	find, err := finder.New(finder.Config{
		Cached: mgr.GetClient(), Live: live, Locate: locate(cfg.Pool), Digests: digests, Clock: clock.RealClock{},
		Namespaces: cfg.Namespaces, Changed: waker.changed, Cluster: away(others, cfg.Providers),
		Vouched: cfg.Key.Vouched, ShowCopies: cfg.ShowCopies, Log: cfg.Log,
	})
	if err != nil {
		return err
	}
	if err := mgr.Add(leader(find.Run)); err != nil {
		return err
	}
	if !cfg.NoCluster {
		if err := mgr.Add(install(live, live, cfg.Log)); err != nil {
			return err
		}
	}
	roller := restart.New(cfg.Roller, reach(others))
	shadows, err := crew(mgr, live, cfg)
	if err != nil {
		return err
	}
	r := controller.New(controller.Config{
		Client: mgr.GetClient(), Live: live, Vaults: vaults{cfg.Stores, cfg.Pool}, Cluster: cfg.Cluster, Targets: cfg.Targets,
		Finder: find, Roller: roller, Prober: prober{live, application.New(application.Config{}), witnesses(live, cfg)}, Calendar: schedule.Calendar{}, Policies: policies{mgr.GetClient(), cfg.NoCluster},
		Rehearser: rehearse.New(rehearse.Config{Restarts: roller, Live: live, Shadows: shadows, Clock: clock.RealClock{}, Log: cfg.Log}),
		Refresh:   cfg.Refresh, Clock: clock.RealClock{}, Log: cfg.Log, Event: cfg.Event, Metrics: cfg.Metrics,
		Namespaces: cfg.Namespaces, MaxTurns: cfg.Turns, EvidenceMount: cfg.EvidenceMount,
	})
	waker.r = r
	return r.Setup(mgr, max(cfg.Concurrency, 16), !cfg.NoCluster)
}
