package operator

import (
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/operator/named"
)

// How Secrets are watched; see Config.WatchSecrets.
const (
	WatchAll   = "all"
	WatchNamed = "named"
)

// checkWatch refuses what cannot be done without seeing every Secret.
func (c *Config) checkWatch() error {
	if err := c.Checks.check(c.Namespaces); err != nil {
		return err
	}
	switch c.WatchSecrets {
	case "", WatchAll:
		return nil
	case WatchNamed:
	default:
		return errs.Newf(errs.Invalid, "watch-secrets %q: use %s or %s", c.WatchSecrets, WatchAll, WatchNamed)
	}
	switch {
	case len(c.Namespaces) == 0:
		return errs.New(errs.Invalid, "watch-secrets=named without namespaces: its roles are made for namespaces: name them with --namespaces")
	case !c.NoReload || !c.NoRotation || c.Drills:
		return errs.New(errs.Invalid, "watch-secrets=named with rotation, restarts or drills, which look at every Secret of a namespace: add --no-rotation and --no-reload, and leave --drills out")
	}
	return nil
}

// newCache makes the cache that watches Secrets as cfg says; nil: the usual one.
func newCache(cfg Config) cache.NewCacheFunc {
	if cfg.WatchSecrets != WatchNamed {
		return nil
	}
	return func(rest *rest.Config, o cache.Options) (cache.Cache, error) {
		return named.New(rest, o, cfg.Log)
	}
}

// clusterOf reads what stores and generators refer to, by the operator's rights.
func clusterOf(mgr ctrl.Manager, cfg Config) kube {
	k := kube{live: mgr.GetAPIReader(), client: mgr.GetClient(), bound: cfg.RequireAudiences}
	if c, ok := mgr.GetCache().(*named.Cache); ok {
		k.watch = c.Watch
	}
	return k
}
