package rotation_test

import (
	"context"
	"errors"
	"os"
	"testing"

	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/kube/operator/rotation"
	"github.com/strongkeep/strongkeep/internal/kube/rollout/rollouttest"
	"github.com/strongkeep/strongkeep/internal/testenv/apiserver"
	"github.com/strongkeep/strongkeep/internal/testenv/dbtest"
	"github.com/strongkeep/strongkeep/test/cluster"
)

// A real API server with the controllers that make pods; the node is played.
var (
	testCluster *cluster.Cluster
	testClient  client.WithWatch
)

func TestMain(m *testing.M) {
	os.Exit(apiserver.Main(apiserver.Config{
		Schemes: []func(*runtime.Scheme) error{rotation.AddToScheme, rbacv1.AddToScheme, eventsv1.AddToScheme},
	}, func(s *apiserver.Server) (code int, err error) {
		testCluster, testClient = s.Cluster, s.Client
		kubelet, err := rollouttest.Start(context.Background(), testClient)
		if err != nil {
			return 1, err
		}
		defer func() { err = errors.Join(err, kubelet.Close()) }()
		return dbtest.Main(m), nil
	}))
}
