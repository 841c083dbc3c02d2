package apiserver

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/api/crds"
	"github.com/strongkeep/strongkeep/test/cluster"
)

// Config says what tests need. The zero Config is a server with our definitions.
type Config struct {
	// Schemes are the kinds that Client knows beside those of core and the
	// definitions themselves.
	Schemes []func(*runtime.Scheme) error
	// Foreign are definitions to be installed beside ours.
	Foreign []*apiextensionsv1.CustomResourceDefinition
	// Bare leaves out ours.
	Bare bool
	// Flags of the API server.
	Flags []string
	// ControllerFlags are those of kube-controller-manager.
	ControllerFlags []string
}

// Server is a running one.
type Server struct {
	*cluster.Cluster
	REST   *rest.Config // without a limit of requests
	Client client.WithWatch
}

// Main is a TestMain: it starts a server, has run do the tests with it, and ends
// it. It returns the exit code. With -short the tests are left out, loudly.
func Main(cfg Config, run func(*Server) (int, error)) int {
	flag.Parse()
	if testing.Short() {
		fmt.Fprintln(os.Stderr, "SKIPPED: the tests of this package need a real API server, and are not short")
		return 0
	}
	code, err := runWith(cfg, run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return max(code, 1)
	}
	return code
}

func runWith(cfg Config, run func(*Server) (int, error)) (code int, err error) {
	s, err := Start(context.Background(), cfg)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	return run(s)
}

// Start starts a server. The caller stops it.
func Start(ctx context.Context, cfg Config) (_ *Server, err error) {
	c, err := cluster.Start(ctx, cluster.Config{Log: os.Stderr, APIServerFlags: cfg.Flags, ControllerFlags: cfg.ControllerFlags})
	if err != nil {
		return nil, err
	}
	s := &Server{Cluster: c}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop())
		}
	}()
	if s.REST, err = clientcmd.BuildConfigFromFlags("", c.Kubeconfig()); err != nil {
		return nil, err
	}
	s.REST.QPS = -1
	scheme := runtime.NewScheme()
	for _, add := range append(cfg.Schemes, corev1.AddToScheme, apiextensionsv1.AddToScheme) {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	if s.Client, err = client.NewWithWatch(s.REST, client.Options{Scheme: scheme}); err != nil {
		return nil, err
	}
	return s, s.install(ctx, cfg)
}

// install makes the definitions and waits until what they define is served.
func (s *Server) install(ctx context.Context, cfg Config) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	all := cfg.Foreign
	if !cfg.Bare {
		own, err := crds.All()
		if err != nil {
			return err
		}
		for _, raw := range own {
			crd := &apiextensionsv1.CustomResourceDefinition{}
			if err := yaml.UnmarshalStrict(raw, crd); err != nil {
				return err
			}
			all = append(all, crd)
		}
	}
	for _, crd := range all {
		if err := s.Client.Create(ctx, crd); err != nil {
			return fmt.Errorf("installing %s: %w", crd.Name, err)
		}
	}
	for _, crd := range all {
		if err := wait.PollUntilContextCancel(ctx, 20*time.Millisecond, true, func(ctx context.Context) (bool, error) {
			return s.served(ctx, crd), nil
		}); err != nil {
			return fmt.Errorf("waiting for %s to be served: %w", crd.Name, err)
		}
	}
	return nil
}

// served reports whether every version that is to be served can be listed.
func (s *Server) served(ctx context.Context, crd *apiextensionsv1.CustomResourceDefinition) bool {
	for i := range crd.Spec.Versions {
		if !crd.Spec.Versions[i].Served {
			continue
		}
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(schema.GroupVersionKind{Group: crd.Spec.Group, Version: crd.Spec.Versions[i].Name, Kind: crd.Spec.Names.ListKind})
		if s.Client.List(ctx, list, client.Limit(1)) != nil {
			return false
		}
	}
	return true
}
