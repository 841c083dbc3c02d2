package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/testenv/dbtest"
	"github.com/strongkeep/strongkeep/test/cluster"
)

// Image is that of the sample application.
const Image = "localhost/sample:1"

// site is what the tests of one binary share.
type site struct {
	*cluster.Cluster
	REST   *rest.Config
	Client client.WithWatch
	dir    string
}

// shared belongs to Main; a test binary is one program with one cluster.
var shared struct {
	mu   sync.Mutex
	site *site
	err  error
}

// Main runs a package's tests and ends what they shared. A test binary that was
// started as an operator (see Operator.Kill) is that, and no test.
func Main(m *testing.M) int {
	if os.Getenv(operatorVariable) != "" {
		return operatorMain()
	}
	defer dbtest.Close()
	code := m.Run()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.site != nil {
		if err := errors.Join(shared.site.Stop(), os.RemoveAll(shared.site.dir)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// open returns the cluster of this test binary, or skips the test without root.
func open(t testing.TB) *site {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED without root: a real node mounts file systems and runs containers")
	}
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.site == nil && shared.err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour) // the first build of Kubernetes
		defer cancel()
		shared.site, shared.err = start(ctx)
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.site
}

func start(ctx context.Context) (*site, error) {
	dir, err := os.MkdirTemp("", "strongkeep-rotation-")
	if err != nil {
		return nil, err
	}
	c, err := cluster.Start(ctx, cluster.Config{Node: true, Log: os.Stderr})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s := &site{Cluster: c, dir: dir}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, c.Stop(), os.RemoveAll(dir))
	}
	return s, nil
}

func (s *site) prepare(ctx context.Context) error {
	var err error
	if s.REST, err = clientcmd.BuildConfigFromFlags("", s.Kubeconfig()); err != nil {
		return err
	}
	s.REST.QPS = -1
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, rbacv1.AddToScheme, v1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return err
		}
	}
	if s.Client, err = client.NewWithWatch(s.REST, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	root, err := repository()
	if err != nil {
		return err
	}
	if err := BuildSample(ctx, root, filepath.Join(s.dir, "sample")); err != nil {
		return err
	}
	if err := s.LoadImage(ctx, Image, map[string]string{"/sample": filepath.Join(s.dir, "sample")}, "/sample"); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"apply", "--server-side", "-f", filepath.Join(root, "deploy", "crds")},
		{"wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"},
		{"create", "namespace", reviewerNamespace},
		{"create", "serviceaccount", reviewer, "--namespace=" + reviewerNamespace},
		{"create", "clusterrolebinding", reviewer, "--clusterrole=system:auth-delegator", "--serviceaccount=" + reviewerNamespace + ":" + reviewer},
	} {
		if _, err := s.Kubectl(ctx, nil, args...); err != nil {
			return err
		}
	}
	return nil
}

// BuildSample builds the sample application, static, from the checkout root.
func BuildSample(ctx context.Context, root, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", to, "./test/rotation/sample")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building the sample application: %w\n%s", err, out)
	}
	return nil
}

// repository is the checkout that the test runs in.
func repository() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("not in a checkout of Strongkeep")
		}
		dir = parent
	}
}
