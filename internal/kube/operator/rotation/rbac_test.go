package rotation_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/operator"
	"github.com/strongkeep/strongkeep/internal/kube/operator/operatortest/permits"
	"github.com/strongkeep/strongkeep/internal/kube/operator/rbac"
)

const podTemplate = `
    metadata: {labels: {app: NAME}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: main
        env:
        - {name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}
`

// kinds is a consumer of each kind beside the Deployment.
var kinds = template("sts", `apiVersion: apps/v1
kind: StatefulSet
metadata: {name: sts}
spec:
  serviceName: sts
  selector: {matchLabels: {app: sts}}
  template:`) + template("ds", `apiVersion: apps/v1
kind: DaemonSet
metadata: {name: ds}
spec:
  selector: {matchLabels: {app: ds}}
  template:`) + template("rs", `apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: rs}
spec:
  selector: {matchLabels: {app: rs}}
  template:`) + strings.Replace(template("job", `apiVersion: batch/v1
kind: Job
metadata: {name: job}
spec:
  template:`), "    spec:\n", "    spec:\n      restartPolicy: Never\n", 1) + `apiVersion: batch/v1
kind: CronJob
metadata: {name: cron}
spec:
  schedule: "0 0 31 12 *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers:
          - name: main
            image: main
            env:
            - {name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}
---
`

// bare is a pod that nothing makes anew.
const bare = `apiVersion: v1
kind: Pod
metadata: {name: bare}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: main
    env:
    - {name: DB_PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}
`

func template(name, head string) string {
	return head + strings.ReplaceAll(podTemplate, "NAME", name) + "---\n"
}

// notHere are permissions that this test cannot use, each with why.
var notHere = map[string]string{
	"list gateway.networking.k8s.io/gateways":               "not installed in this cluster",
	"list secrets-store.csi.x-k8s.io/secretproviderclasses": "not installed in this cluster",
	"get argoproj.io/rollouts":                              "not installed in this cluster",
	"list argoproj.io/rollouts":                             "not installed in this cluster",
	"patch argoproj.io/rollouts":                            "not installed in this cluster",
	"list /resourcequotas":                                  "for rehearsals: TestRehearsal",
}

// The roles of rotation are as narrow as they can be: over every kind of workload,
// by stamps and by eviction, each permission is used and none is missing.
func TestNoExcessPermissionOfRotations(t *testing.T) {
	w := newWorld(t)
	o := rbac.Options{Name: w.ns, Namespace: w.ns, Namespaces: []string{w.ns}, Rotation: true}
	rec := permits.New()
	cfg := w.rest(o)
	w.start(func(c *operator.Config) { c.REST, c.NoReload = rec.Wrap(cfg), true })
	w.settled()
	w.ask(v1alpha1.AnnotationRotate, "first")
	w.done(1)

	w.apply(kinds)
	w.until("all run", func() bool { return w.ready() == 2+4 })
	w.ask(v1alpha1.AnnotationRotate, "by stamps")
	w.rotation("the Job is waited for", func(rot *v1alpha1.Rotation) bool {
		return rot.Status.Phase == v1alpha1.PhaseRolling && strings.Contains(fmt.Sprint(rot.Status.Conditions), "waiting: ")
	})
	w.apply(bare)
	w.until("the bare pod was looked at", func() bool { return rec.Count("get /pods") > 0 })
	w.remove(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "bare"}})
	w.remove(&batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "job"}})
	w.done(2)

	w.patch("db", `{"spec":{"rollout":{"method":"Evict"}}}`)
	w.ask(v1alpha1.AnnotationRotate, "by eviction")
	w.done(3)

	for _, path := range rec.Refused() {
		t.Errorf("refused: %s", path)
	}
	has, used := permits.Granted(o), rec.Used()
	without := o
	without.Rotation = false
	had := permits.Granted(without)
	for _, p := range permits.Unused(has, used) {
		if !had[p] && notHere[p] == "" { // the rest is TestNoExcessPermission's
			t.Errorf("granted and never used: %s", p)
		}
	}
	for _, p := range slices.Sorted(maps.Keys(notHere)) {
		if !has[p] {
			t.Errorf("%s (%s) is not granted at all", p, notHere[p])
		}
	}
	for _, p := range slices.Sorted(maps.Keys(used)) {
		if !has[p] {
			t.Errorf("used and not granted: %s", p)
		}
	}
}

// ready counts the pods that are.
func (w *world) ready() (n int) {
	w.Helper()
	var pods corev1.PodList
	if err := testClient.List(w.Context(), &pods, client.InNamespace(w.ns)); err != nil {
		w.Fatal(err)
	}
	for i := range pods.Items {
		for _, c := range pods.Items[i].Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
				n++
			}
		}
	}
	return n
}

// remove deletes an object and, behind it, its pods.
func (w *world) remove(o client.Object) {
	w.Helper()
	o.SetNamespace(w.ns)
	if err := testClient.Delete(w.Context(), o, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		w.Fatal(err)
	}
}
