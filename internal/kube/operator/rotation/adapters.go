package rotation

import (
	"context"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder"
	"github.com/strongkeep/strongkeep/internal/kube/operator/stores"
	"github.com/strongkeep/strongkeep/internal/kube/provider/session"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// leader runs only where the controllers run.
type leader func(context.Context) error

func (f leader) Start(ctx context.Context) error { return f(ctx) }
func (leader) NeedLeaderElection() bool          { return true }

// vaults implements controller.Vaults by the sessions that ExternalSecrets use too.
type vaults struct {
	stores stores.Lookup
	pool   *session.Pool
}

func (v vaults) Vault(ctx context.Context, namespace string, ref v1.SecretStoreRef) (target.Vault, error) {
	store, err := v.stores.Store(ctx, namespace, ref)
	if err != nil {
		return nil, err
	}
	if !v.stores.Answers(store) {
		return nil, errs.Newf(errs.Invalid, "%s is another operator's: its spec.controller is %q", v1.KeyOf(store), store.StoreSpec().Controller)
	}
	vault, err := v.pool.Vault(ctx, store)
	if err != nil {
		return nil, err
	}
	return vault, nil
}

// locate implements finder.Locate.
func locate(pool *session.Pool) finder.Locate {
	return func(ctx context.Context, store v1.Store, key string) (string, error) {
		location, err := pool.LocateKey(ctx, store, key)
		if err == nil && location == "" {
			return "", errs.Newf(errs.Unsupported, "%s names no locations", v1.KeyOf(store))
		}
		return location, err
	}
}

// waker tells the controller of pods and workloads that change.
type waker struct{ r *controller.Reconciler }

func (w *waker) changed(namespace string, secrets []string) {
	if w.r != nil {
		w.r.Changed(namespace, secrets)
	}
}
