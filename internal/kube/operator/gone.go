package operator

import (
	"context"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

// goneBy says, by the cache from which those come who open sessions and those who end
// them, that a store was deleted, or made anew. What cannot be told is there.
func goneBy(cache client.Reader) func(context.Context, v1.Store) bool {
	return func(ctx context.Context, store v1.Store) bool {
		var now v1.Store = &v1.SecretStore{}
		if store.StoreKind() == v1.KindClusterSecretStore {
			now = &v1.ClusterSecretStore{}
		}
		err := cache.Get(ctx, client.ObjectKeyFromObject(store), now)
		return apierrors.IsNotFound(err) || err == nil && now.GetUID() != store.GetUID()
	}
}
