package rotation

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder"
	"github.com/strongkeep/strongkeep/internal/kube/provider"
	"github.com/strongkeep/strongkeep/internal/kube/remote"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/restart"
)

// away implements finder.Config.Cluster.
func away(others *remote.Pool, providers map[string]provider.Provider) func(context.Context, consumer.Cluster) (finder.Cluster, error) {
	return func(ctx context.Context, c consumer.Cluster) (finder.Cluster, error) {
		at, err := others.Reach(ctx, c)
		if err != nil {
			return finder.Cluster{}, err
		}
		return finder.Cluster{Live: at, Locate: place(providers), Digests: at.Digests}, nil
	}
}

// place says where a store of another cluster has what it reads, by its settings
// alone: nothing logs in with another cluster's credentials. What no provider of
// ours names is not in a vault that we turn credentials of.
func place(providers map[string]provider.Provider) finder.Locate {
	return func(_ context.Context, store v1.Store, key string) (string, error) {
		name, settings, err := store.StoreSpec().Provider.One()
		if err != nil {
			return "", err
		}
		if p, ok := providers[name].(provider.Placer); ok {
			return p.Place(settings, key)
		}
		return "", nil
	}
}

// reach implements restart.Reach.
func reach(others *remote.Pool) restart.Reach {
	return func(ctx context.Context, c consumer.Cluster) (client.Client, string, error) {
		at, err := others.Reach(ctx, c)
		return at, at.ID, err
	}
}
