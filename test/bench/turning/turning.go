package turning

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/consumer/finder"
	"github.com/strongkeep/strongkeep/internal/kube/content"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/evidence"
	"github.com/strongkeep/strongkeep/test/bench/figure"
	"github.com/strongkeep/strongkeep/test/bench/rig"
	"github.com/strongkeep/strongkeep/test/cluster"
)

const (
	workloads = 500
	strangers = 1000 // pods that use other Secrets
	nodes     = 50   // by name only: nothing runs
	looks     = 20
	bound     = 2.0 // seconds
	namespace = "bench"
	location  = "vault.bench:8200/database/alternating-creds/app"
)

// Measure finds workloads and their pods in a real API server, judges the evidence
// of each and decides, as a Rotation amid a turn does each second; the slowest of
// several looks counts. One look that trusts no cache, as before a credential is
// closed, is measured too.
func Measure(ctx context.Context, b *rig.Rig) (_ []figure.Figure, err error) {
	b.Say("  starting a cluster (the first time, its programs are built)")
	c, err := cluster.Start(ctx, cluster.Config{Log: b.Progress})
	if err != nil {
		return nil, err
	}
	defer func() {
		if stopped := c.Stop(); err == nil {
			err = stopped
		}
	}()
	kube, err := newKube(c.Kubeconfig())
	if err != nil {
		return nil, err
	}
	if err := populate(ctx, c, kube, b.Root); err != nil {
		return nil, err
	}
	find, err := newFinder(kube)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- find.Run(ctx) }()
	defer func() {
		cancel()
		if ended := <-ran; err == nil {
			err = ended
		}
	}()
	if err := settled(ctx, find); err != nil {
		return nil, err
	}
	var slowest time.Duration
	cpu := rig.CPUTime(os.Getpid())
	for range looks {
		took, err := look(ctx, find, false)
		if err != nil {
			return nil, err
		}
		slowest = max(slowest, took)
	}
	each := (rig.CPUTime(os.Getpid()) - cpu) / looks
	live, err := look(ctx, find, true)
	if err != nil {
		return nil, err
	}
	b.Say("  %d workloads among %d other pods: the slowest of %d looks took %.3f s, each %.3f s of CPU; one that trusts no cache took %.2f s, and %.3f s of CPU",
		workloads, strangers, looks, slowest.Seconds(), each.Seconds(), live.Seconds(), (rig.CPUTime(os.Getpid()) - cpu - looks*each).Seconds())
	return []figure.Figure{
		figure.Within(bound, "rotation-500", slowest.Seconds(), "s"),
		figure.Within(bound, "rotation-500-live", live.Seconds(), "s"),
	}, nil
}

// settled waits until the pods belong to their workloads, which is the work of
// the cluster's own controllers.
func settled(ctx context.Context, find *finder.Finder) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		_, err := look(ctx, find, true)
		if err == nil {
			_, err = look(ctx, find, false)
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// look finds, judges and decides once, and checks what came of it.
func look(ctx context.Context, find *finder.Finder, live bool) (time.Duration, error) {
	began := time.Now()
	g, err := find.Find(ctx, consumer.Wanted{Namespace: namespace, Location: location, Live: live})
	if err != nil {
		return 0, err
	}
	judged := evidence.Judge(evidence.Input{Method: v1alpha1.RolloutTemplate, Version: "7", Secrets: g.Secrets, Pods: g.Pods, Workloads: g.Workloads})
	o := rotate.Observed{Now: began, Plan: rotate.Plan{NeedComplete: true}, Turn: rotate.Turn{Number: 1, Phase: v1alpha1.PhaseProving, Begun: began, Published: began}}
	o.Secrets.Total, o.Secrets.Confirmed = len(g.Secrets), len(g.Secrets)
	o.Proof.Pods, o.Proof.Proven, o.Proof.Missing, o.Proof.Never, o.Proof.Unknown = len(judged.Pods), judged.Proven, judged.Missing, judged.Never, g.Unknown
	step := rotate.Decide(o)
	took := time.Since(began)
	if len(g.Workloads) != workloads || len(g.Pods) < workloads || len(g.Unknown) > 0 || judged.Proven != 0 || len(judged.Missing) == 0 || step.Phase != v1alpha1.PhaseProving {
		return 0, errs.Newf(errs.Internal, "found %d workloads and %d pods, %d proven, unknown %q, and decided %s", len(g.Workloads), len(g.Pods), judged.Proven, g.Unknown, step.Phase)
	}
	return took, nil
}

func newFinder(kube client.WithWatch) (*finder.Finder, error) {
	key, err := target.NewKey(make([]byte, target.KeySize)) // nothing here is secret
	if err != nil {
		return nil, err
	}
	locate := func(_ context.Context, _ v1.Store, key string) (string, error) {
		return "vault.bench:8200/database/" + key, nil
	}
	return finder.New(finder.Config{Cached: kube, Live: kube, Locate: locate, Digests: content.New(kube, key), Clock: clock.RealClock{}})
}

// newKube returns a client that is limited by the server only.
func newKube(kubeconfig string) (client.WithWatch, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "reading the kubeconfig: %w", err)
	}
	cfg.QPS = -1
	log.SetLogger(logr.Discard()) // else it complains that nobody hears it
	scheme, err := finder.Scheme()
	if err != nil {
		return nil, err
	}
	kube, err := client.NewWithWatch(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return nil, errs.Newf(errs.Unavailable, "making a client of the cluster: %w", err)
	}
	return kube, nil
}

func meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

// ready marks an ExternalSecret, which no operator here looks at, as in order.
func ready(ctx context.Context, kube client.Client, es *v1.ExternalSecret) error {
	es.Status.Conditions = []v1.Condition{{Type: v1.ConditionReady, Status: metav1.ConditionTrue}}
	if err := kube.Status().Update(ctx, es); err != nil {
		return errs.Newf(errs.Unavailable, "writing the status of %s: %w", es.Name, err)
	}
	return nil
}

// fedSecret is the Secret that all use, as an operator would have left it.
func fedSecret() *corev1.Secret {
	s := &corev1.Secret{ObjectMeta: meta("db"), StringData: map[string]string{"password": "bench"}}
	s.Annotations = map[string]string{target.AnnotationVersions: fmt.Sprintf(`{%q:"7"}`, location)}
	return s
}
