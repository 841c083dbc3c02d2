package rollout_test

import (
	"encoding/json"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rollout"
)

var (
	one = rollout.Stamp{"secret/db": "one"}
	two = rollout.Stamp{"secret/db": "two"}
)

// Every kind that has a template ends with pods of the stamp wanted and no
// other, by template and by eviction, forth and back.
func TestKinds(t *testing.T) {
	for name, c := range map[string]struct {
		kind, extra string
		replicas    int
		method      v1alpha1.RolloutMethod
	}{
		"deployment":          {"Deployment", "", 3, v1alpha1.RolloutTemplate},
		"deployment-recreate": {"Deployment", "  strategy: {type: Recreate}", 2, v1alpha1.RolloutTemplate},
		"deployment-evict":    {"Deployment", "", 3, v1alpha1.RolloutEvict},
		"statefulset":         {"StatefulSet", "", 2, v1alpha1.RolloutTemplate},
		"statefulset-delete":  {"StatefulSet", "  updateStrategy: {type: OnDelete}", 2, v1alpha1.RolloutTemplate},
		"statefulset-evict":   {"StatefulSet", "", 2, v1alpha1.RolloutEvict},
		"daemonset":           {"DaemonSet", "", 1, v1alpha1.RolloutTemplate},
		"daemonset-delete":    {"DaemonSet", "  updateStrategy: {type: OnDelete}", 1, v1alpha1.RolloutTemplate},
		"replicaset":          {"ReplicaSet", "", 2, v1alpha1.RolloutTemplate},
		"replicaset-evict":    {"ReplicaSet", "", 2, v1alpha1.RolloutEvict},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.apply(manifest(c.kind, "app", c.replicas, c.extra))
			w.settled("app", c.replicas)
			for i, s := range []rollout.Stamp{one, two, one} {
				before := map[types.UID]bool{}
				for _, p := range w.ready("app") {
					before[p.UID] = true
				}
				w.until(rollout.Done, rollout.Request{Method: c.method}, s, c.kind+"/app")
				pods := w.ready("app")
				if len(pods) != c.replicas {
					t.Errorf("turn %d: %d pods ready, want %d", i, len(pods), c.replicas)
				}
				for _, p := range pods {
					if before[p.UID] || p.Annotations[rollout.AnnotationStamp] != s.String() {
						t.Errorf("turn %d: pod %s is old, or stamped %q", i, p.Name, p.Annotations[rollout.AnnotationStamp])
					}
				}
				// A Roller that knows nothing changes nothing.
				w.restart()
				w.until(rollout.Done, rollout.Request{Method: c.method}, s, c.kind+"/app")
				for _, p := range w.ready("app") {
					if before[p.UID] {
						t.Errorf("turn %d: pod %s is gone after a restart of the Roller", i, p.Name)
					}
					before[p.UID] = true
				}
			}
		})
	}
}

// Nothing of a workload is touched but our annotations, and these belong to our
// field manager.
func TestOnlyTheStampIsWritten(t *testing.T) {
	w := newWorld(t)
	w.apply(manifest("Deployment", "app", 1, ""))
	w.settled("app", 1)
	read := func() (*appsv1.Deployment, string) {
		var d appsv1.Deployment
		if err := testClient.Get(t.Context(), types.NamespacedName{Namespace: w.ns, Name: "app"}, &d); err != nil {
			t.Fatal(err)
		}
		spec := d.Spec.DeepCopy()
		delete(spec.Template.Annotations, rollout.AnnotationStamp)
		if len(spec.Template.Annotations) == 0 {
			spec.Template.Annotations = nil
		}
		raw, err := json.Marshal(spec)
		if err != nil {
			t.Fatal(err)
		}
		return &d, string(raw)
	}
	_, before := read()
	w.until(rollout.Done, rollout.Request{}, one, "Deployment/app")
	d, after := read()
	if before != after {
		t.Errorf("spec changed:\n%s\n%s", before, after)
	}
	if d.Spec.Template.Annotations[rollout.AnnotationStamp] != one.String() || d.Annotations[rollout.AnnotationStamp] != one.String() {
		t.Errorf("annotations %v, of the template %v", d.Annotations, d.Spec.Template.Annotations)
	}
	for _, f := range d.ManagedFields {
		if f.Manager != rollout.FieldManager {
			continue
		}
		const want = `{"f:metadata":{"f:annotations":{"f:strongkeep.io/content":{}}},"f:spec":{"f:template":{"f:metadata":{"f:annotations":{"f:strongkeep.io/content":{}}}}}}`
		if string(f.FieldsV1.GetRawBytes()) != want {
			t.Errorf("we own %s", f.FieldsV1.GetRawBytes())
		}
	}
	if d.Generation != 2 {
		t.Errorf("generation %d: one change was wanted", d.Generation)
	}
}

// Rotations of several credentials share a template: each keeps what the others
// wrote, and what is no longer used goes.
func TestStampsAreMerged(t *testing.T) {
	w := newWorld(t)
	more := strings.Replace(manifest("Deployment", "app", 1, ""), "envFrom: [", "envFrom: [{configMapRef: {name: conf}}, ", 1)
	w.apply(more)
	for _, s := range []rollout.Stamp{{"secret/gone": "x"}, one, {"configmap/conf": "c"}, two} {
		w.until(rollout.Done, rollout.Request{}, s, "Deployment/app")
	}
	if got := w.workload("Deployment/app").Stamp; got != "configmap/conf=c,secret/db=two" {
		t.Errorf("stamp %q", got)
	}
}

func TestPausedAndPartitioned(t *testing.T) {
	w := newWorld(t)
	w.apply(manifest("Deployment", "paused", 1, "  paused: true") +
		manifest("StatefulSet", "parted", 2, "  updateStrategy: {rollingUpdate: {partition: 1}}"))
	names := []string{"Deployment/paused", "StatefulSet/parted"}
	before := w.kubectl("get", "deployments,statefulsets", "-o", "jsonpath={.items[*].metadata.generation}")
	p := w.until(rollout.Paused, rollout.Request{}, one, names...)
	if p.Items[0].Message != "spec.paused is true" || !strings.Contains(p.Items[1].Message, "partition is 1") {
		t.Errorf("%+v", p.Items)
	}
	if after := w.kubectl("get", "deployments,statefulsets", "-o", "jsonpath={.items[*].metadata.generation}"); after != before {
		t.Errorf("generations %s, then %s", before, after)
	}
	w.kubectl("patch", "deployment", "paused", "-p", `{"spec":{"paused":false}}`)
	w.until(rollout.Done, rollout.Request{}, one, names[0])
}

// What is left alone, and why, is said.
func TestWhatIsNotRestarted(t *testing.T) {
	w := newWorld(t)
	w.apply(manifest("Deployment", "app", 1, ""))
	d := w.workload("Deployment/app")
	with := func(change func(*rollout.Request, *consumer.Workload)) rollout.Item {
		q, copied := rollout.Request{Wanted: wants(one)}, d
		change(&q, &copied)
		q.Workloads = []consumer.Workload{copied}
		return w.roll(q).Items[0]
	}
	for what, c := range map[string]struct {
		change func(*rollout.Request, *consumer.Workload)
		state  rollout.State
		words  string
	}{
		"nothing wanted": {func(q *rollout.Request, _ *consumer.Workload) { q.Wanted = wants(nil) }, rollout.Skipped, "uses nothing that changed"},
		"method None":    {func(q *rollout.Request, _ *consumer.Workload) { q.Method = v1alpha1.RolloutNone }, rollout.Skipped, "None"},
		"reload none":    {func(_ *rollout.Request, c *consumer.Workload) { c.Reload = rollout.ReloadNone }, rollout.Skipped, "is none"},
		"reload signal":  {func(_ *rollout.Request, c *consumer.Workload) { c.Reload = rollout.ReloadSignal }, rollout.Skipped, "is signal"},
		"gone":           {func(_ *rollout.Request, c *consumer.Workload) { c.Name = "no" }, rollout.Skipped, "is gone"},
		"other kind":     {func(_ *rollout.Request, c *consumer.Workload) { c.Kind.Kind, c.Kind.Group = "Kafka", "strimzi.io" }, rollout.Waiting, "restart it as its own tool does"},
		"bare pod":       {func(_ *rollout.Request, c *consumer.Workload) { c.Object, c.UID = object("Pod", w.ns, "bare"), "bare" }, rollout.Waiting, rollout.AnnotationStamp + ": secret/db=one"},
	} {
		if what == "bare pod" {
			w.apply("apiVersion: v1\nkind: Pod\nmetadata: {name: bare}\nspec: {containers: [{name: a, image: a}]}\n")
		}
		if what == "other kind" {
			c.change = func(q *rollout.Request, o *consumer.Workload) {
				o.Kind.Kind, o.Kind.Group = "Kafka", "strimzi.io"
				q.Pods = []consumer.Pod{{Object: object("Pod", w.ns, "kafka-0"), Workload: o.Object}}
			}
		}
		if got := with(c.change); got.State != c.state || !strings.Contains(got.Message, c.words) {
			t.Errorf("%s: %+v", what, got)
		}
	}
	if g := w.kubectl("get", "deployment", "app", "-o", "jsonpath={.metadata.generation}"); g != "1" {
		t.Errorf("generation %s", g)
	}
	// A cluster that is not reached is an error, and the others are as they are.
	far := d
	far.Cluster = "west"
	p, err := w.roller.Roll(t.Context(), rollout.Request{Owner: owner, Wanted: wants(one), Workloads: []consumer.Workload{far, d}})
	if err == nil || !strings.Contains(err.Error(), "west") || p.Items[0].State != rollout.Waiting || p.Items[1].State != rollout.Rolling {
		t.Errorf("%+v, %v", p.Items, err)
	}
}
