package externalsecret

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

// Makers returns the ExternalSecrets that write a Secret, from the cache, which
// Setup has made an index for. They are not to be changed.
func Makers(ctx context.Context, cached client.Reader, secret types.NamespacedName) ([]v1.ExternalSecret, error) {
	var found v1.ExternalSecretList
	err := cached.List(ctx, &found, client.InNamespace(secret.Namespace), client.MatchingFields{byTarget: secret.Name}, client.UnsafeDisableDeepCopy)
	return found.Items, err
}
