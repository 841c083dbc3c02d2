package operator

import (
	"context"
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
)

func TestGoneBy(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	own := func(name string, uid types.UID) *v1.SecretStore {
		return &v1.SecretStore{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: name, UID: uid}}
	}
	shared := func(name string, uid types.UID) *v1.ClusterSecretStore {
		return &v1.ClusterSecretStore{ObjectMeta: metav1.ObjectMeta{Name: name, UID: uid}}
	}
	cache := fake.NewClientBuilder().WithScheme(scheme).WithObjects(own("here", "1"), shared("shared", "2")).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			if key.Name == "unread" {
				return errors.New("the cache has not begun")
			}
			return c.Get(ctx, key, o, opts...)
		},
	}).Build()
	for name, c := range map[string]struct {
		store v1.Store
		want  bool
	}{
		"there":                       {own("here", "1"), false},
		"made anew":                   {own("here", "0"), true},
		"deleted":                     {own("away", "1"), true},
		"shared":                      {shared("shared", "2"), false},
		"shared, by the other's name": {shared("here", "1"), true},
		"not to be told":              {own("unread", "1"), false},
	} {
		if got := goneBy(cache)(t.Context(), c.store); got != c.want {
			t.Errorf("%s: gone %v, want %v", name, got, c.want)
		}
	}
}
