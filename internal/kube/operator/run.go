package operator

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	pushv1alpha1 "github.com/strongkeep/strongkeep/api/external/v1alpha1"
	generators "github.com/strongkeep/strongkeep/api/generators/v1alpha1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/externalsecret"
	"github.com/strongkeep/strongkeep/internal/kube/operator/keepsake"
	"github.com/strongkeep/strongkeep/internal/kube/operator/manifest"
	"github.com/strongkeep/strongkeep/internal/kube/operator/rbac"
	"github.com/strongkeep/strongkeep/internal/kube/operator/rotation"
	"github.com/strongkeep/strongkeep/internal/kube/operator/secretstore"
	"github.com/strongkeep/strongkeep/internal/kube/operator/slim"
	"github.com/strongkeep/strongkeep/internal/kube/operator/stores"
	"github.com/strongkeep/strongkeep/internal/kube/operator/subscribe"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/provider/session"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/measure"
)

// Run runs the operator until ctx ends.
func Run(ctx context.Context, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	mgr, err := newManager(cfg)
	if err != nil {
		return err
	}
	var opening sync.WaitGroup
	asking, enough := context.WithTimeout(ctx, openingTimeout)
	opening.Go(func() { open(asking, mgr.GetAPIReader(), custom(cfg), cfg.Namespaces) })
	defer func() { enough(); opening.Wait() }()
	key, err := markKey(ctx, mgr.GetAPIReader(), mgr.GetClient(), cfg.OwnNamespace)
	if err != nil {
		return err
	}
	m := newMetrics(clock.RealClock{})
	pool := session.New(session.Config{
		Providers: cfg.Providers, Cluster: clusterOf(mgr, cfg), Clock: clock.RealClock{},
		Log: cfg.Log, Concurrency: cfg.StoreConcurrency, Observe: m.called,
		Gone: goneBy(mgr.GetClient()),
	})
	defer pool.Close()
	events := newEvents(mgr.GetEventRecorder("strongkeep"), clock.RealClock{})
	hub := subscribe.New(subscribe.Config{Notifier: pool, Clock: clock.RealClock{}, Log: cfg.Log, State: m.subscribed, Refused: events.changesRefused})
	if err := mgr.Add(leaderRunnable(hub.Run)); err != nil {
		return err
	}
	last, err := lastValues(cfg, pool.Access)
	if err != nil {
		return err
	}
	if last != nil {
		defer last.Close()
	}
	p := parts{cfg, mgr, key, m, pool, hub, events, last}
	if err := p.setup(ctx); err != nil {
		return err
	}
	stop, err := p.serve(ctx)
	if err != nil {
		return err
	}
	defer stop()
	cfg.Log.Info("operator starting", "namespaces", cfg.Namespaces, "concurrency", cfg.Concurrency)
	opening.Wait()
	rootLog.Do(func() { ctrl.SetLogger(mgr.GetLogger()) })
	return mgr.Start(ctx)
}

// rootLog is where controller-runtime logs what belongs to no manager. It takes one log
// in the life of a process, and must be given it by one goroutine alone.
var rootLog sync.Once

func newManager(cfg Config) (ctrl.Manager, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1.AddToScheme, pushv1alpha1.AddToScheme, generators.AddToScheme, rotation.AddToScheme, addReloaded} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	namespaces := map[string]cache.Config{}
	for _, ns := range cfg.Namespaces {
		namespaces[ns] = cache.Config{}
	}
	grace := 10 * time.Second
	lock, err := leaseLock(cfg)
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(cfg.REST, ctrl.Options{
		Scheme:   scheme,
		Logger:   logr.FromSlogHandler(cfg.Log.Handler()),
		NewCache: newCache(cfg),
		Cache: cache.Options{
			DefaultNamespaces:           namespaces,
			DefaultTransform:            new(slim.Cache).Object,
			ByObject:                    reloaded(cfg),
			ReaderFailOnMissingInformer: true,
		},
		Metrics:                       metricsserver.Options{BindAddress: "0"}, // served with health, see serve
		HealthProbeBindAddress:        "0",
		GracefulShutdownTimeout:       &grace,
		LeaderElection:                cfg.LeaderElection,
		LeaderElectionReleaseOnCancel: true,

		LeaderElectionResourceLockInterface: lock,
	})
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "reaching the API server at %s: %w", cfg.REST.Host, err)
	}
	return mgr, nil
}

// leaseLock returns the lock that operators are elected by, without the events
// that the usual one writes: they are in the log, and need no permission there.
func leaseLock(cfg Config) (resourcelock.Interface, error) {
	if !cfg.LeaderElection {
		return nil, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return nil, errs.Newf(errs.Internal, "asking for the host's name: %w", err)
	}
	c, err := coordinationv1.NewForConfig(cfg.REST)
	if err != nil {
		return nil, errs.Newf(errs.Invalid, "reaching the API server: %w", err)
	}
	return &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: cfg.OwnNamespace, Name: rbac.Lease},
		Client:     c,
		LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + uuid.NewString()},
	}, nil
}

// leaderRunnable runs only where the controllers run.
type leaderRunnable func(context.Context) error

func (f leaderRunnable) Start(ctx context.Context) error { return f(ctx) }
func (leaderRunnable) NeedLeaderElection() bool          { return true }

// parts is what the controllers share.
type parts struct {
	cfg     Config
	mgr     ctrl.Manager
	key     target.Key
	metrics *metrics
	pool    *session.Pool
	hub     *subscribe.Hub
	events  *events
	last    *keepsake.Keeper // nil: no last values are kept
}

func (p parts) setup(ctx context.Context) error {
	faults, err := p.faults(ctx)
	if err != nil {
		return err
	}
	pushes, err := p.pushes(ctx)
	if err != nil {
		return err
	}
	makers, err := p.generators(ctx, pushes)
	if err != nil {
		return err
	}
	es := externalsecret.New(externalsecret.Config{
		Client: p.mgr.GetClient(), Live: p.mgr.GetAPIReader(), Stores: p.pool, Recent: session.Recent{Pool: p.pool}, Wishes: p.hub, Key: p.key,
		Clock: clock.RealClock{}, Log: p.cfg.Log, Event: p.events.event, Metric: p.metrics,
		Limits: p.cfg.TemplateLimits, Delimiters: p.cfg.TemplateDelimiters, Class: p.cfg.Class, Only: p.cfg.OnlyClass, Faults: faults, Generators: makers,
		Manifests: p.manifests(), LastValues: p.last,
	})
	if err := p.prepareCaches(ctx); err != nil {
		return err
	}
	if err := es.Setup(ctx, p.mgr, p.cfg.Concurrency, !p.cfg.NoClusterStores, p.hub.Due()); err != nil {
		return err
	}
	if pushes {
		if err := p.setupPush(ctx, makers); err != nil {
			return err
		}
	}
	if err := p.setupSpread(ctx, pushes); err != nil {
		return err
	}
	if err := p.setupRollouts(ctx); err != nil {
		return err
	}
	if err := p.setupDrills(faults != nil); err != nil {
		return err
	}
	if err := p.setupChecks(); err != nil {
		return err
	}
	return p.setupStores()
}

// manifests returns what writes other targets than Secrets; nil when that is off.
func (p parts) manifests() *manifest.Writer {
	if !p.cfg.GenericTargets {
		return nil
	}
	return &manifest.Writer{Client: p.mgr.GetClient(), Live: p.mgr.GetAPIReader(), Key: p.key, Kinds: manifest.Kinds{Mapper: p.mgr.GetRESTMapper()}}
}

// setupRollouts starts what restarts workloads: reloading and rotation, with one
// roller and its budget between them.
func (p parts) setupRollouts(ctx context.Context) error {
	reloads, err := p.reloads(ctx)
	if err != nil {
		return err
	}
	roll, err := p.newRoller(reloads)
	if err != nil {
		return err
	}
	if reloads {
		if err := p.setupReload(ctx, roll); err != nil {
			return err
		}
	}
	return p.setupRotation(ctx, roll)
}

func (p parts) setupStores() error {
	kinds := []string{v1.KindSecretStore}
	if !p.cfg.NoClusterStores {
		kinds = append(kinds, v1.KindClusterSecretStore)
	}
	for _, kind := range kinds {
		r := secretstore.New(secretstore.Config{
			Kind: kind, Client: p.mgr.GetClient(), Stores: p.pool, Follower: p.hub, Clock: clock.RealClock{},
			Log: p.cfg.Log, Event: p.events.event, Metric: p.metrics, Class: p.cfg.Class, Only: p.cfg.OnlyClass, Every: p.cfg.StoreInterval,
		})
		if err := r.Setup(p.mgr); err != nil {
			return err
		}
	}
	return nil
}

// setupRotation starts what turns credentials, where the cluster has such objects.
func (p parts) setupRotation(ctx context.Context, roll *rollout.Roller) error {
	if p.cfg.NoRotation {
		return nil
	}
	kind := v1alpha1.GroupVersion().WithKind("Rotation")
	if _, err := p.mgr.GetRESTMapper().RESTMapping(kind.GroupKind(), kind.Version); err != nil {
		if meta.IsNoMatchError(err) {
			p.cfg.Log.Warn("nothing is rotated: the cluster has no Rotations; install deploy/crds and start the operator again")
			return nil
		}
		return errs.Newf(errs.Unavailable, "looking for Rotations at the API server: %w", err)
	}
	if ok, err := p.granted(ctx, &v1alpha1.RotationList{}, "rotation"); err != nil || !ok {
		return err
	}
	metrics := measure.New(clock.RealClock{})
	if err := p.metrics.registry.Register(metrics); err != nil {
		return errs.Newf(errs.Internal, "registering the metrics of Rotations: %w", err)
	}
	return rotation.Setup(p.mgr, rotation.Config{
		REST: p.cfg.REST, Targets: p.cfg.Targets, Providers: p.cfg.Providers, Pool: p.pool, Stores: stores.Lookup{Reader: p.mgr.GetClient(), Class: p.cfg.Class, Only: p.cfg.OnlyClass},
		Cluster: p.cluster(), Key: p.key, Refresh: p.hub.Refresh, Event: p.events.event,
		Metrics: metrics, Log: p.cfg.Log, Namespaces: p.cfg.Namespaces, NoCluster: p.cfg.NoClusterStores,
		Turns: p.cfg.Turns, Roller: roll, EvidenceMount: p.cfg.EvidenceMount,
		RehearsalPods: p.cfg.RehearsalPods, TemplateDelimiters: p.cfg.TemplateDelimiters, ShowCopies: p.cfg.ShowCopies, Outbound: p.cfg.Outbound,
		Witnesses: p.cfg.Witnesses, Account: types.NamespacedName{Namespace: p.cfg.OwnNamespace, Name: p.cfg.ServiceAccount},
	})
}

// prepareCaches starts the informers that no controller watches but that
// reconciles read. Every other read of a cache must name something watched:
// nothing is watched by accident.
func (p parts) prepareCaches(ctx context.Context) error {
	if p.cfg.NoClusterStores {
		return nil
	}
	ns := &metav1.PartialObjectMetadata{}
	ns.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	_, err := p.mgr.GetCache().GetInformer(ctx, ns, cache.BlockUntilSynced(false))
	return err
}
