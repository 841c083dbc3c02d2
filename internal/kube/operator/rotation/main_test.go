package rotation_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/api/crds"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/operator/rotation"
	"github.com/strongkeep/strongkeep/internal/kube/rollout/rollouttest"
	"github.com/strongkeep/strongkeep/internal/testenv/dbtest"
	"github.com/strongkeep/strongkeep/test/cluster"
)

// A real API server with the controllers that make pods; the node is played.
var (
	testCluster *cluster.Cluster
	testClient  client.WithWatch
)

func TestMain(m *testing.M) {
	flag.Parse()
	if testing.Short() {
		os.Exit(0)
	}
	code, err := runWithCluster(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runWithCluster(m *testing.M) (code int, err error) {
	ctx := context.Background()
	testCluster, err = cluster.Start(ctx, cluster.Config{Log: os.Stderr})
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, testCluster.Stop()) }()
	cfg, err := clientcmd.BuildConfigFromFlags("", testCluster.Kubeconfig())
	if err != nil {
		return 1, err
	}
	cfg.QPS = -1
	scheme := runtime.NewScheme()
	if err := errors.Join(rotation.AddToScheme(scheme), apiextensionsv1.AddToScheme(scheme), rbacv1.AddToScheme(scheme), eventsv1.AddToScheme(scheme)); err != nil {
		return 1, err
	}
	if testClient, err = client.NewWithWatch(cfg, client.Options{Scheme: scheme}); err != nil {
		return 1, err
	}
	if err := installCRDs(ctx); err != nil {
		return 1, err
	}
	kubelet, err := rollouttest.Start(ctx, testClient)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, kubelet.Close()) }()
	return dbtest.Main(m), nil
}

func installCRDs(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	all, err := crds.All()
	if err != nil {
		return err
	}
	for _, raw := range all {
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(raw, crd); err != nil {
			return err
		}
		if err := testClient.Create(ctx, crd); err != nil {
			return err
		}
	}
	return wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		return testClient.List(ctx, &v1alpha1.RotationList{}) == nil && testClient.List(ctx, &corev1.PodList{}) == nil, nil
	})
}
