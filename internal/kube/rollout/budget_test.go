package rollout_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
)

// with makes a Roller for this test's namespace only.
func (w *world) with(change func(*rollout.Config)) {
	cfg := rollout.Config{Client: testClient, Live: testClient, Cached: client.NewNamespacedClient(testClient, w.ns)}
	change(&cfg)
	w.roller = rollout.New(cfg)
}

// stamped returns how many Deployments of the namespace have a stamp.
func (w *world) stamped() int {
	w.Helper()
	var list appsv1.DeploymentList
	if err := testClient.List(w.Context(), &list, client.InNamespace(w.ns)); err != nil {
		w.Fatal(err)
	}
	n := 0
	for _, d := range list.Items {
		if d.Spec.Template.Annotations[rollout.AnnotationStamp] != "" {
			n++
		}
	}
	return n
}

// release lets slow pods get ready.
func (w *world) release() {
	w.Helper()
	var pods corev1.PodList
	if err := testClient.List(w.Context(), &pods, client.InNamespace(w.ns)); err != nil {
		w.Fatal(err)
	}
	for i := range pods.Items {
		p := &pods.Items[i]
		before := client.StrategicMergeFrom(p.DeepCopy()) // controllers write the rest
		for j := range p.Status.Conditions {
			if c := &p.Status.Conditions[j]; c.Type == corev1.PodReady || c.Type == corev1.ContainersReady {
				c.Status = corev1.ConditionTrue
			}
		}
		if err := testClient.Status().Patch(w.Context(), p, before); client.IgnoreNotFound(err) != nil {
			w.Fatal(err)
		}
	}
}

const slow = `test.strongkeep.io/slow: ""`

func (w *world) deployments(n int, annotations string) (names []string) {
	var all strings.Builder
	for i := range n {
		name := fmt.Sprintf("app-%d", i)
		all.WriteString(strings.Replace(manifest("Deployment", name, 1, ""), "annotations: {}", "annotations: {"+annotations+"}", 1))
		names = append(names, "Deployment/"+name)
	}
	w.apply(all.String())
	w.updated()
	return names
}

// updated waits until the controllers have made the pods of every Deployment as
// they are now; before that one counts as amid a rollout, which no budget holds up.
func (w *world) updated() {
	w.Helper()
	var list appsv1.DeploymentList
	w.eventually(func() bool {
		if err := testClient.List(w.Context(), &list, client.InNamespace(w.ns)); err != nil {
			w.Fatal(err)
		}
		return !slices.ContainsFunc(list.Items, func(d appsv1.Deployment) bool {
			return d.Status.ObservedGeneration != d.Generation || d.Status.UpdatedReplicas != *d.Spec.Replicas
		})
	}, func() string { return w.kubectl("get", "deployments,pods", "-o", "wide") })
}

func (w *world) workloads(names []string) (out []consumer.Workload) {
	for _, n := range names {
		out = append(out, w.workload(n))
	}
	return out
}

// No more than MaxConcurrent of an owner are under way, a Roller made anew
// counts those that another began, and a stale graph does not matter.
func TestOwnersBudget(t *testing.T) {
	w := newWorld(t)
	names := w.deployments(5, slow)
	graph := w.workloads(names) // never read again: its stamps stay empty
	w.with(func(*rollout.Config) {})
	q := rollout.Request{MaxConcurrent: 2, Workloads: graph, Wanted: wants(one)}
	for done := 0; done < 5; {
		for range 3 {
			p := w.roll(q)
			done = len(p.In(rollout.Done))
			if n := w.stamped(); n > done+2 || n < min(done+2, 5) {
				t.Fatalf("%d restarted, %d of them done: %+v", n, done, p.Items)
			}
			if done < 3 && !strings.Contains(p.Items[4].Message, "waits for its turn") {
				t.Errorf("%+v", p.Items[4])
			}
			w.with(func(*rollout.Config) {}) // the operator is started anew
		}
		w.release()
	}
}

// Owners share the cluster's budget, also when they ask at the same time and the
// list that is counted from never shows what was written.
func TestClustersBudget(t *testing.T) {
	w := newWorld(t)
	graph := w.workloads(w.deployments(8, slow))
	stale := interceptor.NewClient(testClient, interceptor.Funcs{
		List: func(context.Context, client.WithWatch, client.ObjectList, ...client.ListOption) error { return nil },
	})
	w.with(func(c *rollout.Config) { c.ClusterMax, c.Cached = 3, stale })
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			q := rollout.Request{Owner: fmt.Sprintf("reload/%d", i), Workloads: graph[i : i+1], Wanted: wants(one)}
			if p, err := w.roller.Roll(t.Context(), q); err != nil || len(p.In(rollout.Rolling, rollout.Waiting)) != 1 {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
	all.Wait()
	if n := w.stamped(); n != 3 {
		t.Fatalf("%d restarted at once, 3 may be", n)
	}
	// A Roller made anew counts what is under way by what the list shows.
	w.with(func(c *rollout.Config) { c.ClusterMax = 3 })
	p := w.roll(rollout.Request{Workloads: graph, Wanted: wants(one), MaxConcurrent: 100})
	if n := w.stamped(); n != 3 {
		t.Fatalf("%d restarted at once after a restart, 3 may be", n)
	}
	if waiting := p.In(rollout.Waiting); len(waiting) != 5 || !strings.Contains(waiting[0].Message, "3 workloads of the cluster are under way, 3 may be") {
		t.Errorf("%+v", p.Items)
	}
	w.eventually(func() bool {
		w.release()
		p = w.roll(rollout.Request{Workloads: graph, Wanted: wants(one), MaxConcurrent: 100})
		return len(p.In(rollout.Done)) == 8
	}, func() string { return fmt.Sprintf("%+v", p.Items) })
}

// A workload that never gets on gives its slot back in the end.
func TestStuckWorkloadsAreForgotten(t *testing.T) {
	w := newWorld(t)
	names := w.deployments(2, slow)
	clk := testingclock.NewFakePassiveClock(time.Now())
	w.with(func(c *rollout.Config) { c.ClusterMax, c.Clock = 1, clock.PassiveClock(clk) })
	ask := func(name string) rollout.Item {
		q := rollout.Request{Owner: name, Workloads: w.workloads([]string{name}), Wanted: wants(one), Deadline: 10 * time.Hour}
		return w.roll(q).Items[0]
	}
	if i := ask(names[0]); i.State != rollout.Rolling {
		t.Fatalf("%+v", i)
	}
	if i := ask(names[1]); i.State != rollout.Waiting {
		t.Fatalf("%+v", i)
	}
	clk.SetTime(clk.Now().Add(2 * time.Hour))
	if i := ask(names[1]); i.State != rollout.Rolling {
		t.Fatalf("%+v", i)
	}
}

func TestNewPodsCrash(t *testing.T) {
	for kind, extra := range map[string]string{"Deployment": "", "StatefulSet": "", "DaemonSet": ""} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			replicas := map[string]int{"Deployment": 2, "StatefulSet": 2, "DaemonSet": 1}[kind]
			w.apply(manifest(kind, "app", replicas, extra) + manifest("Deployment", "next", 1, ""))
			w.settled("app", replicas)
			w.until(rollout.Done, rollout.Request{}, one, kind+"/app")
			// What the new content does to it: its pods crash.
			w.kubectl("patch", strings.ToLower(kind), "app", "-p", `{"spec":{"template":{"metadata":{"annotations":{"test.strongkeep.io/crash":""}}}}}`)
			q := rollout.Request{MaxConcurrent: 1}
			q.Wanted = wants(two)
			var p rollout.Progress
			w.eventually(func() bool {
				q.Workloads = w.workloads([]string{kind + "/app", "Deployment/next"})
				p = w.roll(q)
				return p.Items[0].State == rollout.Failed
			}, func() string { return fmt.Sprintf("%+v", p.Items) })
			if m := p.Items[0].Message; !strings.Contains(m, "CrashLoopBackOff") || !strings.Contains(m, "kubectl -n "+w.ns+" logs app-") {
				t.Errorf("message %q", m)
			}
			if m := p.Items[1].Message; p.Items[1].State != rollout.Waiting || !strings.Contains(m, "failed") || w.workload("Deployment/next").Stamp != "" {
				t.Errorf("%+v: others are restarted although one crashes", p.Items[1])
			}
			// The way back works, also where a broken pod blocks its controller.
			w.kubectl("patch", strings.ToLower(kind), "app", "-p", `{"spec":{"template":{"metadata":{"annotations":{"test.strongkeep.io/crash":null}}}}}`)
			w.until(rollout.Done, rollout.Request{MaxConcurrent: 1}, one, kind+"/app")
			w.settled("app", replicas)
		})
	}
}

func TestDeadline(t *testing.T) {
	w := newWorld(t)
	names := w.deployments(1, slow)
	clk := testingclock.NewFakePassiveClock(time.Now())
	w.with(func(c *rollout.Config) { c.Clock = clk })
	began := clk.Now()
	ask := func() rollout.Item {
		return w.roll(rollout.Request{Workloads: w.workloads(names), Wanted: wants(one), Deadline: time.Minute, Since: began}).Items[0]
	}
	ask()
	if i := ask(); i.State != rollout.Rolling || i.Since.IsZero() {
		t.Fatalf("%+v", i)
	}
	w.updated()
	clk.SetTime(began.Add(2 * time.Minute))
	if i := ask(); i.State != rollout.Failed || !strings.Contains(i.Message, "not done after 1m0s: 1 of 1 pods updated, 0 available") || !strings.Contains(i.Message, "kubectl -n "+w.ns+" describe deployment app-0") {
		t.Fatalf("%+v", i)
	}
	w.release()
	w.eventually(func() bool { return ask().State == rollout.Done }, func() string { return fmt.Sprint(ask()) })
}

// facts §6.4: a rollout is not done while an old pod is still ending.
func TestOldPodsThatLinger(t *testing.T) {
	w := newWorld(t)
	w.apply(strings.Replace(manifest("Deployment", "app", 1, ""), "annotations: {}", `annotations: {test.strongkeep.io/linger: ""}`, 1))
	w.settled("app", 1)
	old := w.ready("app")[0]
	var p rollout.Progress
	deployment := func() *appsv1.Deployment {
		var d appsv1.Deployment
		if err := testClient.Get(t.Context(), types.NamespacedName{Namespace: w.ns, Name: "app"}, &d); err != nil {
			t.Fatal(err)
		}
		return &d
	}
	ask := func() {
		p = w.roll(rollout.Request{Workloads: w.workloads([]string{"Deployment/app"}), Wanted: wants(one)})
	}
	w.eventually(func() bool {
		ask()
		s := deployment().Status
		return s.ObservedGeneration == 2 && s.UpdatedReplicas == 1 && s.Replicas == 1 && s.AvailableReplicas == 1
	}, func() string { return fmt.Sprintf("%+v", deployment().Status) })
	ask()
	if i := p.Items[0]; i.State != rollout.Rolling || !strings.Contains(i.Message, "1 old: "+old.Name) {
		t.Fatalf("%+v", i)
	}
	w.kubectl("annotate", "pod", old.Name, "test.strongkeep.io/linger-")
	w.until(rollout.Done, rollout.Request{}, one, "Deployment/app")
}

const budget = `apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: NAME}
spec: {maxUnavailable: 0, selector: {matchLabels: {app: NAME}}}
---
`

// A budget that allows nothing keeps pods from being taken away before new ones
// are there, and only that.
func TestDisruptionBudgets(t *testing.T) {
	w := newWorld(t)
	guard := func(name string) string { return strings.ReplaceAll(budget, "NAME", name) }
	w.apply(manifest("Deployment", "surge", 2, "") + guard("surge") +
		manifest("Deployment", "tight", 2, "  strategy: {rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}") + guard("tight") +
		manifest("StatefulSet", "set", 1, "") + guard("set") + manifest("Deployment", "evicted", 2, "") + guard("evicted"))
	for name, n := range map[string]int{"surge": 2, "tight": 2, "set": 1, "evicted": 2} {
		w.settled(name, n)
	}
	w.until(rollout.Done, rollout.Request{}, one, "Deployment/surge")
	p := w.until(rollout.Waiting, rollout.Request{}, one, "Deployment/tight", "StatefulSet/set")
	for i, name := range []string{"tight", "set"} {
		if !strings.Contains(p.Items[i].Message, "PodDisruptionBudget "+name+" allows no disruption") {
			t.Errorf("%+v", p.Items[i])
		}
	}
	p = w.until(rollout.Waiting, rollout.Request{Method: v1alpha1.RolloutEvict}, one, "Deployment/evicted")
	if !strings.Contains(p.Items[0].Message, "may not be evicted now: PodDisruptionBudget evicted allows no disruption") {
		t.Errorf("%+v", p.Items[0])
	}
	w.kubectl("delete", "pdb", "--all")
	w.until(rollout.Done, rollout.Request{}, one, "Deployment/tight", "StatefulSet/set")
	w.until(rollout.Done, rollout.Request{Method: v1alpha1.RolloutEvict}, one, "Deployment/evicted")
}

// Evictions are one by one: there is never more than one pod less than wanted.
func TestEvictionsAreOneByOne(t *testing.T) {
	w := newWorld(t)
	w.apply(manifest("Deployment", "app", 3, ""))
	w.settled("app", 3)
	least, p := 3, rollout.Progress{}
	w.eventually(func() bool {
		p = w.roll(rollout.Request{Method: v1alpha1.RolloutEvict, Workloads: w.workloads([]string{"Deployment/app"}), Wanted: wants(one)})
		least = min(least, len(w.ready("app")))
		return p.Done()
	}, func() string { return fmt.Sprintf("%+v", p.Items) })
	if least < 2 {
		t.Errorf("%d of 3 pods were ready", least)
	}
	if sets := strings.Fields(w.kubectl("get", "replicasets", "-o", "name")); len(sets) != 1 || w.workload("Deployment/app").Stamp != "" {
		t.Errorf("the template was written: %v", sets)
	}
	// A pod that comes later is stamped too, for who looks for proof.
	w.kubectl("scale", "deployment", "app", "--replicas=4")
	w.settled("app", 4)
	w.until(rollout.Done, rollout.Request{Method: v1alpha1.RolloutEvict}, one, "Deployment/app")
	for _, pod := range w.ready("app") {
		if pod.Annotations[rollout.AnnotationStamp] != one.String() || pod.Annotations[rollout.AnnotationBefore] != "" {
			t.Errorf("pod %s: %v", pod.Name, pod.Annotations)
		}
	}
}

// A crash between marking pods and noting that they are marked is made good.
func TestMarkingIsTakenUp(t *testing.T) {
	w := newWorld(t)
	w.apply(manifest("Deployment", "app", 2, ""))
	w.settled("app", 2)
	broken := interceptor.NewClient(testClient, interceptor.Funcs{
		Apply: func(context.Context, client.WithWatch, runtime.ApplyConfiguration, ...client.ApplyOption) error {
			return apierrors.NewInternalError(fmt.Errorf("killed"))
		},
	})
	w.with(func(c *rollout.Config) { c.Client = broken })
	q := rollout.Request{Owner: owner, Method: v1alpha1.RolloutEvict, Workloads: w.workloads([]string{"Deployment/app"}), Wanted: wants(one)}
	if p, err := w.roller.Roll(t.Context(), q); err == nil || p.Items[0].State != rollout.Waiting {
		t.Fatalf("%+v, %v", p.Items, err)
	}
	old := map[types.UID]bool{}
	for _, pod := range w.ready("app") {
		old[pod.UID] = true
		if pod.Annotations[rollout.AnnotationBefore] != "secret/db=unknown" {
			t.Errorf("pod %s: %v", pod.Name, pod.Annotations)
		}
	}
	w.restart()
	w.until(rollout.Done, rollout.Request{Method: v1alpha1.RolloutEvict}, one, "Deployment/app")
	for _, pod := range w.ready("app") {
		if old[pod.UID] {
			t.Errorf("pod %s was not evicted", pod.Name)
		}
	}
}

// Jobs that run are waited for, CronJobs get it with their next Job.
func TestJobs(t *testing.T) {
	w := newWorld(t)
	const job = "spec: {template: {spec: {restartPolicy: Never, containers: [{name: a, image: a, envFrom: [{secretRef: {name: db}}]}]}}}\n"
	w.apply("apiVersion: batch/v1\nkind: Job\nmetadata: {name: work}\n" + job + "---\n" +
		"apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: nightly}\nspec: {schedule: '0 0 1 1 *', jobTemplate: {" + strings.TrimSpace(job) + "}}\n")
	w.eventually(func() bool { return w.kubectl("get", "job", "work", "-o", "jsonpath={.status.active}") == "1" }, func() string { return "no pod" })
	p := w.until(rollout.Waiting, rollout.Request{}, one, "Job/work")
	if !strings.Contains(p.Items[0].Message, "waited for, not restarted") {
		t.Errorf("%+v", p.Items[0])
	}
	w.until(rollout.Done, rollout.Request{}, one, "CronJob/nightly")
	w.kubectl("create", "job", "next", "--from=cronjob/nightly")
	w.until(rollout.Done, rollout.Request{}, one, "Job/next") // runs, and is stamped
	if got := w.kubectl("get", "cronjob", "nightly", "-o", `jsonpath={.spec.jobTemplate.spec.template.metadata.annotations.strongkeep\.io/content}`); got != one.String() {
		t.Errorf("stamp %q", got)
	}
	w.kubectl("delete", "job", "work")
	copied := consumer.Workload{Object: object("Job", w.ns, "work"), UID: "x"}
	if i := w.roll(rollout.Request{Workloads: []consumer.Workload{copied}, Wanted: wants(one)}).Items[0]; i.State != rollout.Skipped {
		t.Errorf("%+v", i)
	}
}

// A change of somebody else between read and write is read again, and never
// overwritten.
func TestConflicts(t *testing.T) {
	w := newWorld(t)
	w.apply(manifest("Deployment", "app", 1, ""))
	w.settled("app", 1)
	n := 0
	racing := interceptor.NewClient(testClient, interceptor.Funcs{
		Apply: func(ctx context.Context, c client.WithWatch, a runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
			if n++; n == 1 {
				w.kubectl("patch", "deployment", "app", "-p", `{"spec":{"paused":true}}`)
			}
			return c.Apply(ctx, a, opts...)
		},
	})
	w.with(func(c *rollout.Config) { c.Client = racing })
	ask := func() rollout.Item {
		return w.roll(rollout.Request{Workloads: w.workloads([]string{"Deployment/app"}), Wanted: wants(one)}).Items[0]
	}
	if i := ask(); i.State != rollout.Paused || n != 1 {
		t.Errorf("%+v after %d writes", i, n)
	}
	w.kubectl("patch", "deployment", "app", "-p", `{"spec":{"paused":false}}`)
	w.eventually(func() bool { return ask().State == rollout.Done }, func() string { return fmt.Sprint(ask()) })
	// A workload that was deleted and made anew is not taken for the old one, and
	// one that is gone is not made by our write.
	n = 0
	w.kubectl("delete", "deployment", "app")
	gone := consumer.Workload{Object: object("Deployment", w.ns, "app"), UID: "x", Rolls: true}
	if got := w.roll(rollout.Request{Workloads: []consumer.Workload{gone}, Wanted: wants(two)}).Items[0]; got.State != rollout.Skipped || n != 0 {
		t.Errorf("%+v after %d writes", got, n)
	}
}

// Look writes nothing, at no stage.
func TestLookOnlyLooks(t *testing.T) {
	w := newWorld(t)
	w.apply(manifest("Deployment", "app", 2, "") + manifest("Deployment", "evicted", 2, ""))
	w.settled("app", 2)
	w.settled("evicted", 2)
	writes := 0
	forbidden := interceptor.NewClient(testClient, interceptor.Funcs{
		Apply: func(context.Context, client.WithWatch, runtime.ApplyConfiguration, ...client.ApplyOption) error {
			writes++
			return nil
		},
		Patch: func(context.Context, client.WithWatch, client.Object, client.Patch, ...client.PatchOption) error {
			writes++
			return nil
		},
		SubResourceCreate: func(context.Context, client.Client, string, client.Object, client.Object, ...client.SubResourceCreateOption) error {
			writes++
			return nil
		},
	})
	looker := rollout.New(rollout.Config{Client: forbidden, Live: testClient})
	for name, method := range map[string]v1alpha1.RolloutMethod{"Deployment/app": v1alpha1.RolloutTemplate, "Deployment/evicted": v1alpha1.RolloutEvict} {
		w.eventually(func() bool {
			q := rollout.Request{Owner: owner, Method: method, Workloads: w.workloads([]string{name}), Wanted: wants(one)}
			seen, err := looker.Look(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			p := w.roll(q)
			if seen.Done() && !p.Done() {
				t.Errorf("%s: looks %+v, is %+v", name, seen.Items, p.Items)
			}
			return p.Done()
		}, func() string { return name })
		if writes != 0 {
			t.Errorf("%s: %d writes", name, writes)
		}
	}
}

// A list that is older than what another has counted by is not believed: who
// counts and takes a slot is alone.
func TestBudgetByAnOldList(t *testing.T) {
	w := newWorld(t)
	graph := w.workloads(w.deployments(3, slow))
	var (
		held  atomic.Bool
		first = make(chan struct{})
		later = make(chan struct{})
	)
	delayed := interceptor.NewClient(testClient, interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			err := c.List(ctx, list, append(opts, client.InNamespace(w.ns))...)
			if held.CompareAndSwap(false, true) { // what it has seen is old when it is counted
				close(first)
				select {
				case <-later:
				case <-time.After(5 * time.Second):
				}
			}
			return err
		},
	})
	w.with(func(c *rollout.Config) { c.ClusterMax, c.Cached = 1, delayed })
	roll := func(i int) {
		q := rollout.Request{Owner: fmt.Sprint("reload/", i), Workloads: graph[i : i+1], Wanted: wants(one)}
		if _, err := w.roller.Roll(t.Context(), q); err != nil {
			t.Error(err)
		}
	}
	var all sync.WaitGroup
	all.Go(func() { roll(0) })
	<-first
	all.Go(func() {
		roll(1)
		roll(2) // sees that 1 is restarted, and forgets that it was just written
		close(later)
	})
	all.Wait()
	if n := w.stamped(); n != 1 {
		t.Errorf("%d restarted at once, 1 may be", n)
	}
}

// Each cluster has the budget, whoever reaches it and by whatever name, and none
// takes from that of another.
func TestOtherClustersBudget(t *testing.T) {
	w := newWorld(t)
	graph := w.workloads(w.deployments(7, slow))
	stale := interceptor.NewClient(testClient, interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			if _, pods := list.(*corev1.PodList); pods {
				return c.List(ctx, list, opts...)
			}
			return nil
		},
	})
	w.with(func(c *rollout.Config) { c.ClusterMax, c.Cached = 2, stale })
	reached := func(_ context.Context, name string) (client.Client, string, error) {
		if name == "gone" {
			return nil, "", errs.New(errs.Unavailable, "connection refused")
		}
		return stale, "https://east", nil
	}
	var all sync.WaitGroup
	for i := range 6 {
		all.Go(func() {
			far := graph[i]
			far.Cluster = []string{"east", "ost"}[i%2]
			q := rollout.Request{Owner: fmt.Sprint("rotation/", i), Workloads: []consumer.Workload{far}, Wanted: wants(one), Remote: reached}
			if p, err := w.roller.Roll(t.Context(), q); err != nil || len(p.In(rollout.Rolling, rollout.Waiting)) != 1 {
				t.Errorf("%+v, %v", p, err)
			}
		})
	}
	all.Wait()
	if n := w.stamped(); n != 2 {
		t.Fatalf("%d restarted at once in another cluster, 2 may be", n)
	}
	if p := w.roll(rollout.Request{Workloads: graph[6:], Wanted: wants(one), Remote: reached}); len(p.In(rollout.Rolling)) != 1 {
		t.Errorf("ours waits for another's: %+v", p.Items)
	}
	gone := graph[5]
	gone.Cluster = "gone"
	p, err := w.roller.Roll(t.Context(), rollout.Request{Owner: "x", Workloads: []consumer.Workload{gone}, Wanted: wants(one), Remote: reached})
	if err == nil || len(p.In(rollout.Waiting)) != 1 || !strings.Contains(p.Items[0].String(), "of cluster gone: cannot be asked just now: connection refused") {
		t.Errorf("%+v, %v", p, err)
	}
	p, err = w.roller.Roll(t.Context(), rollout.Request{Owner: "y", Workloads: []consumer.Workload{gone}, Wanted: wants(one)})
	if !errs.Is(err, errs.Unavailable) || !strings.Contains(err.Error(), "are not restarted from here") {
		t.Errorf("%+v, %v", p, err)
	}
}
