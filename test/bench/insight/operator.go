package insight

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/gentest"
	"github.com/strongkeep/strongkeep/test/bench/figure"
	"github.com/strongkeep/strongkeep/test/bench/rig"
	"github.com/strongkeep/strongkeep/test/cluster"
)

// What is said in docs/checks/operator.md of a cluster of this size.
const (
	boundMore = 200.0 // MB
	// settled is how long an operator that does not look is watched, and patience how long
	// a look may take.
	settled  = 20 * time.Second
	patience = 5 * time.Minute
)

// Operator measures what a look costs an operator that runs: the most memory that it holds
// with --checks, and with contents, beside one that does not look; and how long a look
// takes that it makes itself.
func Operator(ctx context.Context, b *rig.Rig) (_ []figure.Figure, err error) {
	c, config, err := start(ctx, b)
	if err != nil {
		return nil, err
	}
	defer func() {
		if stopped := c.Stop(); err == nil {
			err = stopped
		}
	}()
	if _, err := c.Kubectl(ctx, nil, "apply", "--server-side", "-f", filepath.Join(b.Root, "api", "crds")); err != nil {
		return nil, err
	}
	if err := populate(ctx, b, config, gentest.New(large())); err != nil {
		return nil, err
	}
	var most [3]float64
	var took float64
	for i, args := range [][]string{nil, {"-checks"}, {"-checks", "-checks-content"}} {
		if most[i], took, err = run(ctx, b, c, config, args); err != nil {
			return nil, err
		}
	}
	return []figure.Figure{
		figure.Within(boundMore, "insight-operator-more", max(most[1], most[2])-most[0], "MB"),
		figure.Within(patience.Seconds(), "insight-operator-look", took, "s"),
	}, nil
}

// run runs an operator until it has looked once, or, without more arguments, for a while,
// and returns the most memory it held, in MB, and how long the look took, in s. Each has a
// namespace of its own, so that none goes on with the history of another.
func run(ctx context.Context, b *rig.Rig, c *cluster.Cluster, config *rest.Config, more []string) (most, took float64, err error) {
	namespace := "bench" + strings.Join(more, "")
	addr, err := prepare(ctx, config, namespace)
	if err != nil {
		return 0, 0, err
	}
	p, err := b.Start(namespace, b.Binary, append([]string{"operator", "run", "-kubeconfig=" + c.Kubeconfig(), "-own-namespace=" + namespace, "-metrics-addr=" + addr, "-health-addr=0", "-log-level=warn"}, more...)...)
	if err != nil {
		return 0, 0, err
	}
	defer p.Stop(10 * time.Second)
	ends := time.After(settled)
	if len(more) > 0 {
		ends = time.After(patience)
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for waiting := true; waiting && took == 0; {
		select {
		case <-ctx.Done():
			return 0, 0, ctx.Err()
		case <-p.Done():
			return 0, 0, p.Explain(errs.New(errs.Unavailable, "the operator has ended"))
		case <-ends:
			waiting = false
		case <-tick.C:
			took = looked(ctx, addr)
		}
	}
	if len(more) > 0 && took == 0 {
		return 0, 0, p.Explain(errs.Newf(errs.Unavailable, "no look ended within %s", patience))
	}
	m, err := rig.MemoryOf(p.PID())
	b.Say("  an operator with %v holds %.0f MB at most, and %.0f MB then, after %.2f s of CPU; its look took %.2f s", more, m.Peak, m.Resident, rig.CPUTime(p.PID()).Seconds(), took)
	return m.Peak, took, err
}

// prepare makes the namespace of an operator, and finds an address for its metrics.
func prepare(ctx context.Context, config *rest.Config, namespace string) (addr string, err error) {
	kube, err := kubernetes.NewForConfig(config)
	if err != nil {
		return "", errs.Newf(errs.Unavailable, "making a client of the cluster: %w", err)
	}
	if _, err := kube.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		return "", errs.Newf(errs.Unavailable, "creating a namespace: %w", err)
	}
	return free(ctx)
}

// free is an address that nobody listens on.
func free(ctx context.Context) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", errs.Newf(errs.Unavailable, "finding a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// looked is how long the last look took, as the metrics say; 0 if there was none.
func looked(ctx context.Context, addr string) (seconds float64) {
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return 0
	}
	answer, err := http.DefaultClient.Do(ask)
	if err != nil {
		return 0 // it does not listen yet
	}
	defer func() { _ = answer.Body.Close() }()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if n, err := fmt.Sscanf(lines.Text(), "strongkeep_checks_seconds %g", &seconds); n == 1 && err == nil {
			return seconds
		}
	}
	return 0
}
