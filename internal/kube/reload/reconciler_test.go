package reload_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/content"
	"github.com/strongkeep/strongkeep/internal/kube/operator/target"
	"github.com/strongkeep/strongkeep/internal/kube/reload"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
)

const auto = `reloader.stakater.com/auto: "true"`

// facts §6.3: three Secrets that change within a second are one rollout, and at
// first sight there is none.
func TestChangesThatComeTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.settle = 10 * time.Second // three writes are together, also where each takes its time
	for _, s := range []string{"a", "b", "c"} {
		w.secret(s, "1")
	}
	w.apply(deployment("app", auto) + deployment("plain", ""))
	w.start()
	w.adopted("app", "secret/a", "secret/b", "secret/c")
	w.rolled("app", 1)
	for _, s := range []string{"a", "b", "c"} {
		w.secret(s, "2")
	}
	w.rolled("app", 2)
	w.until("it is said to be done", func() bool { return strings.Contains(w.said(), "Normal app Reloaded") })
	w.quiet()
	if n := w.rollouts("app"); n != 2 {
		t.Errorf("%d rollouts, want one more than the first", n)
	}
	if !strings.Contains(w.said(), "Normal app Reloading: restarting for Secret a, Secret b, Secret c") {
		t.Errorf("events:\n%s", w.said())
	}
	if n := w.rollouts("plain"); n != 1 || w.get("plain").Annotations[rollout.AnnotationStamp] != "" {
		t.Error("a workload that asked for nothing was touched")
	}
	// A change of metadata, and a Secret that goes and comes back, are none.
	w.kubectl("label", "secret", "a", "x=y")
	w.kubectl("delete", "secret", "b")
	w.quiet()
	w.secret("b", "2")
	w.quiet()
	if n := w.rollouts("app"); n != 2 {
		t.Errorf("%d rollouts after changes of no content", n)
	}
	// A new object is adopted; then it counts.
	w.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\ndata: {k: one}\n")
	w.adopted("app", "configmap/conf")
	w.apply("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\ndata: {k: two}\n")
	w.rolled("app", 3)
}

// facts §6.3: what changes while the operator is down restarts when it is back,
// and its start restarts nothing else.
func TestOperatorIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret("a", "1")
	w.apply(deployment("app", auto) + deployment("other", `secret.reloader.stakater.com/reload: "not-a"`))
	w.secret("not-a", "1")
	stop := w.start()
	w.adopted("app", "secret/a")
	w.adopted("other", "secret/not-a")
	stop()
	w.secret("a", "2")
	stop = w.start()
	w.rolled("app", 2)
	stop()
	for range 2 {
		stop = w.start()
		w.quiet()
		stop()
	}
	if w.rollouts("app") != 2 || w.rollouts("other") != 1 {
		t.Errorf("%d and %d rollouts after restarts of the operator", w.rollouts("app"), w.rollouts("other"))
	}
	// There and back while it is down is no change.
	w.secret("a", "3")
	w.secret("a", "2")
	w.start()
	w.quiet()
	if n := w.rollouts("app"); n != 2 {
		t.Errorf("%d rollouts", n)
	}
}

// A tool that puts the template back restarts by that; we do not a second time.
func TestGitOpsDropsTheStamp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret("a", "1")
	w.apply(deployment("app", auto))
	w.start()
	w.adopted("app", "secret/a")
	w.secret("a", "2")
	w.rolled("app", 2)
	w.kubectl("patch", "deployment", "app", "--type=json", "-p", `[{"op":"remove","path":"/spec/template/metadata/annotations"}]`)
	w.rolled("app", 2) // the first template again
	w.quiet()
	if stamp := w.get("app").Spec.Template.Annotations[rollout.AnnotationStamp]; stamp != "" {
		t.Errorf("stamped again: %q", stamp)
	}
	w.secret("a", "3")
	w.rolled("app", 3)
}

// A rotation that restarts the same workload for the same content and this are
// one restart, whoever comes first.
func TestBesideARotation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret("a", "1")
	w.apply(deployment("app", auto))
	w.start()
	w.adopted("app", "secret/a")
	key, err := target.NewKey([]byte(strings.Repeat("k", target.KeySize)))
	if err != nil {
		t.Fatal(err)
	}
	digests := content.New(testClient, key)
	rotation := rollout.New(rollout.Config{Client: testClient, Live: testClient})
	roll := func() rollout.Progress {
		digest, err := digests.Of(t.Context(), content.Object{Kind: content.Secret, NamespacedName: types.NamespacedName{Namespace: w.ns, Name: "a"}}, "")
		if err != nil {
			t.Fatal(err)
		}
		d := w.get("app")
		o, _, _ := consumer.WorkloadOf(d)
		p, err := rotation.Roll(t.Context(), rollout.Request{Owner: "rotation/x", Workloads: []consumer.Workload{o}, Wanted: func(consumer.Object) rollout.Stamp {
			return rollout.Stamp{"secret/a": digest}
		}})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for turn := range 3 {
		w.secret("a", fmt.Sprint("turn", turn))
		w.until("the rotation sees it done", func() bool { return roll().Done() })
	}
	w.quiet()
	if n := w.rollouts("app"); n != 4 {
		t.Errorf("%d rollouts, want the first and one for each turn", n)
	}
}

func TestWaysAndMethods(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, s := range []string{"a", "b", "named-x"} {
		w.secret(s, "1")
	}
	w.apply(deployment("signal", "strongkeep.io/reload: signal") +
		deployment("none", `strongkeep.io/reload: none, `+auto) +
		deployment("evict", auto+`, reloader.stakater.com/rollout-strategy: restart`) +
		deployment("named", `secret.reloader.stakater.com/reload: "named-.*"`) +
		deployment("search", `reloader.stakater.com/search: "true"`) +
		deployment("odd", auto+`, reloader.stakater.com/rollout-strategy: sideways`))
	w.kubectl("annotate", "secret", "b", "reloader.stakater.com/match=true")
	w.start()
	w.adopted("signal", "secret/a", "secret/b")
	w.adopted("evict", "secret/a")
	w.adopted("named", "secret/named-x")
	w.adopted("search", "secret/b")
	w.until("a problem is told", func() bool {
		return strings.Contains(w.said(), `Warning odd ReloadAnnotation: reloader.stakater.com/rollout-strategy is "sideways"`)
	})
	for _, name := range []string{"signal", "evict"} {
		w.until("there is a pod of "+name, func() bool { return w.pod(name).UID != "" })
	}
	old := w.pod("evict")
	w.secret("a", "2")
	w.until("its pods are told", func() bool {
		return strings.HasPrefix(w.pod("signal").Annotations[reload.AnnotationChanged], "secret/a=")
	})
	w.until("it is evicted", func() bool {
		p := w.pod("evict")
		return p.UID != old.UID && p.Annotations[rollout.AnnotationStamp] != ""
	})
	w.quiet()
	for name, n := range map[string]int{"signal": 1, "none": 1, "evict": 1, "named": 1, "search": 1} {
		if got := w.rollouts(name); got != n {
			t.Errorf("%s: %d rollouts, want %d", name, got, n)
		}
	}
	w.secret("b", "2")
	w.secret("named-x", "2")
	w.rolled("search", 2)
	w.rolled("named", 2)
	// An entry of an object that no pod uses stays in the stamp: the next change
	// counts too.
	w.secret("named-x", "3")
	w.rolled("named", 3)
}

// pod returns the one that is there and not going; the zero one when there is none.
func (w *world) pod(app string) corev1.Pod {
	w.Helper()
	var pods corev1.PodList
	if err := testClient.List(w.Context(), &pods, client.InNamespace(w.ns), client.MatchingLabels{"app": app}); err != nil {
		w.Fatal(err)
	}
	for _, p := range pods.Items {
		if p.DeletionTimestamp == nil {
			return p
		}
	}
	return corev1.Pod{}
}

// facts §6.3: pause-period is remembered by the workload, not by the operator.
func TestPausePeriod(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret("a", "1")
	w.apply(deployment("app", auto+`, deployment.reloader.stakater.com/pause-period: 1h`))
	stop := w.start()
	w.adopted("app", "secret/a")
	const pausedAt = "deployment.reloader.stakater.com/paused-at"
	w.secret("a", "2")
	w.until("it is paused", func() bool { return w.get("app").Annotations[pausedAt] != "" })
	first := w.get("app").Annotations[pausedAt]
	stop()
	stop = w.start()
	w.secret("a", "3")
	w.quiet()
	if d := w.get("app"); d.Annotations[pausedAt] != first || d.Spec.Paused || w.rollouts("app") != 1 {
		t.Errorf("paused at %q, then %q; %d rollouts", first, d.Annotations[pausedAt], w.rollouts("app"))
	}
	stop()
	// The hour goes by.
	w.kubectl("annotate", "deployment", "app", "--overwrite", pausedAt+"=2020-01-01T00:00:00Z")
	w.start()
	w.rolled("app", 2)
	w.until("the pause is over", func() bool { return w.get("app").Annotations[pausedAt] == "" })
}

// What keeps a restart from being done is shown, and it goes on when it can.
func TestFailuresAreShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.secret("a", "1")
	crash := strings.Replace(deployment("crash", auto), "metadata: {labels: {app: crash}}", `metadata: {labels: {app: crash}, annotations: {test.strongkeep.io/crash: ""}}`, 1)
	w.apply(strings.Replace(deployment("paused", auto), "spec:\n", "spec:\n  paused: true\n", 1) + crash)
	w.start()
	w.adopted("paused", "secret/a")
	w.adopted("crash", "secret/a")
	w.secret("a", "2")
	w.until("it waits", func() bool {
		return strings.Contains(w.said(), "Normal paused ReloadWaiting: not restarted for Secret a: spec.paused is true")
	})
	w.until("it fails", func() bool {
		return strings.Contains(w.said(), "Warning crash ReloadFailed: pod crash-") && strings.Contains(w.said(), "CrashLoopBackOff")
	})
	w.kubectl("patch", "deployment", "paused", "-p", `{"spec":{"paused":false}}`)
	w.until("it is restarted", func() bool {
		return w.get("paused").Spec.Template.Annotations[rollout.AnnotationStamp] != ""
	})
}
