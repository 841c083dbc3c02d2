package insight

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/strongkeep/strongkeep/internal/app"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/fingerprint"
	"github.com/strongkeep/strongkeep/internal/kube/posture/gentest"
	"github.com/strongkeep/strongkeep/internal/kube/posture/path"
	"github.com/strongkeep/strongkeep/internal/kube/posture/read"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
	"github.com/strongkeep/strongkeep/internal/kube/posture/trace"
	"github.com/strongkeep/strongkeep/test/bench/figure"
	"github.com/strongkeep/strongkeep/test/bench/rig"
	"github.com/strongkeep/strongkeep/test/cluster"
)

// What is promised.
const (
	boundSnapshot = 1.5   // times the bare client
	boundChecks   = 2.0   // s
	boundOne      = 50.0  // ms
	boundAll      = 5.0   // s
	boundTrace    = 100.0 // ms
	boundMB       = 300.0
)

const (
	rounds = 5   // of what is compared
	some   = 200 // Secrets that are asked about one by one; the slowest counts
)

// Measure makes the cluster and asks everything about it.
func Measure(ctx context.Context, b *rig.Rig) (_ []figure.Figure, err error) {
	c, config, err := start(ctx, b)
	if err != nil {
		return nil, err
	}
	defer func() {
		if stopped := c.Stop(); err == nil {
			err = stopped
		}
	}()
	size := large()
	if err := populate(ctx, b, config, gentest.New(size)); err != nil {
		return nil, err
	}
	bare, took, seen, err := compare(ctx, b, config)
	if err != nil {
		return nil, err
	}
	if got := []int{len(seen.Secrets) / size.Secrets, len(seen.Pods) / size.Pods, len(seen.RBAC.Roles) / size.Roles, len(seen.RBAC.RoleBindings) / size.Bindings}; slices.Contains(got, 0) {
		return nil, errs.Newf(errs.Internal, "the snapshot does not have all: %d Secrets, %d pods, %d Roles, %d RoleBindings", len(seen.Secrets), len(seen.Pods), len(seen.RBAC.Roles), len(seen.RBAC.RoleBindings))
	}
	out := []figure.Figure{figure.AtMost(boundSnapshot, "insight-snapshot", took.Seconds(), "s", bare.Seconds())}
	asked, err := ask(b, seen)
	if err != nil {
		return nil, err
	}
	most, err := memory(ctx, b, c.Kubeconfig())
	if err != nil {
		return nil, err
	}
	return append(append(out, asked...), figure.Within(boundMB, "insight-rss", most, "MB")), nil
}

// start starts a cluster, and says how it is reached without a limit of the client's.
func start(ctx context.Context, b *rig.Rig) (*cluster.Cluster, *rest.Config, error) {
	b.Say("  starting a cluster (the first time, its programs are built)")
	c, err := cluster.Start(ctx, cluster.Config{Log: b.Progress})
	if err != nil {
		return nil, nil, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig())
	if err != nil {
		return nil, nil, errors.Join(errs.Newf(errs.Unavailable, "reading the kubeconfig: %w", err), c.Stop())
	}
	config.QPS = -1
	return c, config, nil
}

// large is the size of what is looked at.
func large() gentest.Config {
	size := gentest.Large()
	size.Plants = []gentest.Plant{gentest.People}
	return size
}

// compare takes the snapshot and lists the same with a bare client, by turns, and
// returns the middle of each.
func compare(ctx context.Context, b *rig.Rig, config *rest.Config) (bare, took time.Duration, seen *snapshot.Snapshot, err error) {
	key, err := fingerprint.NewKey(make([]byte, fingerprint.KeySize))
	if err != nil {
		return 0, 0, nil, err
	}
	var bares, takes []time.Duration
	for i := range rounds + 1 {
		own := rig.CPUTime(os.Getpid())
		began := time.Now()
		n, err := list(ctx, config)
		if err != nil {
			return 0, 0, nil, err
		}
		bare, cpu := time.Since(began), rig.CPUTime(os.Getpid())
		began = time.Now()
		if seen, err = read.Live(ctx, config, read.Options{Now: began, Whole: true, Key: key}); err != nil {
			return 0, 0, nil, err
		}
		took := time.Since(began)
		b.Say("  a bare client lists %d objects in %.2f s, and %.2f s of CPU; the snapshot takes %.2f s, and %.2f s of CPU", n, bare.Seconds(), (cpu - own).Seconds(), took.Seconds(), (rig.CPUTime(os.Getpid()) - cpu).Seconds())
		if i > 0 { // the first of each warms the API server up
			bares, takes = append(bares, bare), append(takes, took)
		}
	}
	return middle(bares), middle(takes), seen, nil
}

func middle(all []time.Duration) time.Duration {
	slices.Sort(all)
	return all[len(all)/2]
}

// ask asks the checks, who gets at Secrets, and where credentials are.
func ask(b *rig.Rig, seen *snapshot.Snapshot) ([]figure.Figure, error) {
	began := time.Now()
	report := check.Run(app.Checks(), check.NewInput(seen, began, check.Settings{}), nil, nil)
	checks := time.Since(began)
	findings := 0
	for i := range report.Results {
		findings += len(report.Results[i].Findings)
	}
	b.Say("  %d checks find %d in %.2f s", len(report.Results), findings, checks.Seconds())

	names := seen.Names()
	var one time.Duration
	for i := range 20 {
		began := time.Now()
		seen.Finder().Readers(names[i*len(names)/20])
		one = max(one, time.Since(began))
	}
	began = time.Now()
	f, readers := seen.Finder(), 0
	for _, n := range names {
		readers += len(f.Readers(n))
	}
	all := time.Since(began)
	b.Say("  who gets at one Secret: %.1f ms, from the snapshot; at each of %d (%d readers): %.2f s", ms(one), len(names), readers, all.Seconds())

	tracing, err := follow(b, seen, names)
	if err != nil {
		return nil, err
	}
	return []figure.Figure{
		figure.Within(boundChecks, "insight-checks", checks.Seconds(), "s"),
		figure.Within(boundOne, "insight-who-can", ms(one), "ms"),
		figure.Within(boundAll, "insight-who-can-all", all.Seconds(), "s"),
		figure.Within(boundTrace, "insight-trace", ms(tracing), "ms"),
	}, nil
}

// follow is the slowest of some traces. What all traces share is made before.
func follow(b *rig.Rig, seen *snapshot.Snapshot, names []path.Name) (time.Duration, error) {
	began := time.Now()
	g, err := trace.New(trace.Config{Clusters: []trace.Cluster{{Snapshot: seen}}, Now: began})
	if err != nil {
		return 0, err
	}
	indexed := time.Since(began)
	var slowest time.Duration
	for i := range some {
		began := time.Now()
		list, ok := g.Resolve("", names[i*len(names)/some])
		if !ok {
			return 0, errs.Newf(errs.Internal, "%s is not to be traced", names[i*len(names)/some])
		}
		for _, c := range list {
			g.Trace(c)
		}
		slowest = max(slowest, time.Since(began))
	}
	b.Say("  the credentials of all are told apart in %.0f ms; then tracing those of a Secret takes %.1f ms at most", ms(indexed), ms(slowest))
	return slowest, nil
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// memory is the most that the program itself holds, of those of its commands that read
// everything.
func memory(ctx context.Context, b *rig.Rig, kubeconfig string) (float64, error) {
	most := 0.0
	for _, args := range [][]string{
		{"check", "-o", "json", "--fail-on=none", "--output-file=" + filepath.Join(b.Dir, "report.json"), "--save=" + filepath.Join(b.Dir, "snapshot")},
		{"inventory", "-o", "json"},
	} {
		c := exec.CommandContext(ctx, b.Binary, args...)
		c.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
		began := time.Now()
		mb, err := rig.PeakOf(c)
		if err != nil {
			return 0, err
		}
		b.Say("  strongkeep %s takes %.2f s and %.2f s of CPU, and holds %.0f MB at most", args[0], time.Since(began).Seconds(), (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds(), mb)
		most = max(most, mb)
	}
	if _, err := os.Stat(filepath.Join(b.Dir, "snapshot")); err != nil {
		return 0, fmt.Errorf("looking for the snapshot: %w", err)
	}
	return most, nil
}
