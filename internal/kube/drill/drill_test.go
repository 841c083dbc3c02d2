package drill_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/strongkeep/strongkeep/api/external/v1"
	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/operator"
)

// The store is away: the ExternalSecret says so, the Secret stays, and the end
// comes when somebody asks for it.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(nil)
	w.ready()
	w.drill("away", "StoreAway", "30m", "")
	d := w.phase("away", v1alpha1.DrillRunning, "")
	if left := d.Status.Until.Sub(d.Status.Began.Time); left != 30*time.Minute || d.Status.ReadyBefore != 2 || len(d.Status.Pods) != 2 {
		t.Errorf("until %v after it began; %+v", left, d.Status)
	}
	if len(d.Finalizers) > 0 {
		t.Errorf("finalizers %v: nothing of a drill may keep a namespace from going", d.Finalizers)
	}
	w.await("it is felt", func() bool {
		var es v1.ExternalSecret
		w.get("db", &es)
		c := v1.FindCondition(es.Status.Conditions, v1.ConditionReady)
		return c.Status == metav1.ConditionFalse && strings.Contains(c.Message, `on purpose by Drill "`+w.ns+`/away" until `)
	})
	w.vault.Put("app", `{"user":"web","password":"`+canary+`-2"}`)
	w.await("it is found", func() bool { w.get("away", d); return d.Status.ExternalSecrets[0].Failed != nil })
	if s := w.secret("db"); string(s.Data["password"]) != canary+"-1" {
		t.Error("the Secret was written while the store was away")
	}
	if line := w.metric("strongkeep_drill_running"); !strings.HasSuffix(line, " 1") || !strings.Contains(line, `failure="StoreAway"`) {
		t.Errorf("metric %q", line)
	}
	w.kubectl("annotate", "drill", "away", v1alpha1.AnnotationDrillStop+"=now")
	d = w.phase("away", v1alpha1.DrillOver, "Stopped")
	w.right()
	w.await("the value that was missed is there", func() bool { return string(w.secret("db").Data["password"]) == canary+"-2" })
	if d.Status.Recovered == nil || d.Status.ExternalSecrets[0].Recovered == nil || !meta.IsStatusConditionTrue(d.Status.Conditions, v1alpha1.ConditionUndone) {
		t.Errorf("%+v", d.Status)
	}
	for _, want := range []string{"no pod became unready, and none restarted", "ExternalSecret db was not ready", "the workload was as well as before"} {
		if !slices.ContainsFunc(d.Status.Findings, func(f string) bool { return strings.Contains(f, want) }) {
			t.Errorf("no finding %q: %q", want, d.Status.Findings)
		}
	}
	w.await("events are there", func() bool {
		out := w.kubectl("get", "events.v1.events.k8s.io", "-o", "jsonpath={range .items[*]}{.reason} {.regarding.kind}\n{end}")
		return strings.Contains(out, "DrillBegan Drill") && strings.Contains(out, "DrillBegan Deployment") && strings.Contains(out, "DrillEnded Drill")
	})
}

// Each sync takes longer, and others do not.
func TestSlowSync(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.apply(strings.NewReplacer("{name: db}", "{name: other}", "key: app", "key: other").Replace(`
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: db}
spec: {secretStoreRef: {name: vault}, dataFrom: [{extract: {key: app}}]}
`))
	w.vault.Put("other", `{"k":"1"}`)
	w.start(nil)
	w.ready()
	const delay = 4 * time.Second
	w.drill("slow", "SlowSync", "30m", ", delay: 4s")
	w.phase("slow", v1alpha1.DrillRunning, "")
	w.await("subscribed", func() bool { return w.vault.Subscribers() == 1 })
	longest := time.Duration(0)
	for i := range 3 { // one may share the wait of a sync that was asked for before, such as at the beginning
		value := fmt.Sprintf("%s-slow-%d", canary, i)
		put := time.Now()
		w.vault.Put("app", `{"user":"web","password":"`+value+`"}`)
		w.vault.Put("other", fmt.Sprintf(`{"k":"%s-%d"}`, canary, i))
		w.await("the other is in step", func() bool { return string(w.secret("other").Data["k"]) == fmt.Sprintf("%s-%d", canary, i) })
		w.await("it is in step after all", func() bool { return string(w.secret("db").Data["password"]) == value })
		longest = max(longest, time.Since(put))
	}
	if longest < delay {
		t.Errorf("the longest sync took %v, less than the delay", longest)
	}
	w.kubectl("annotate", "drill", "slow", v1alpha1.AnnotationDrillStop+"=now")
	w.phase("slow", v1alpha1.DrillOver, "Stopped")
}

// The Secret holds wrong values, of no version, while the drill lasts; user names
// stay. Pods that do not stand it are named. The time is up by itself.
func TestCredentialRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(nil)
	w.ready()
	w.drill("refused", "CredentialRefused", "40s", "")
	w.wrong("refused")
	s := w.secret("db")
	if string(s.Data["user"]) != "web" || s.Annotations["strongkeep.io/versions"] != "" {
		t.Errorf("user %q, annotations %v", s.Data["user"], s.Annotations)
	}
	pod := w.pods(true)[0]
	w.setReady(&pod, corev1.ConditionFalse, 2)
	d := w.phase("refused", v1alpha1.DrillRecovering, "TimeIsUp")
	w.right()
	if d.Status.Ended.Time.Before(d.Status.Until.Time) {
		t.Errorf("ended %v, before %v", d.Status.Ended, d.Status.Until)
	}
	w.setReady(&pod, corev1.ConditionTrue, 2)
	d = w.phase("refused", v1alpha1.DrillOver, "TimeIsUp")
	first := d.Status.Pods[0]
	if first.Name != pod.Name || first.Restarts != 2 || first.Unready == nil || first.ReadyAgain == nil || d.Status.Recovered == nil || d.Status.ExternalSecrets[0].Wrong == nil {
		t.Errorf("%+v", d.Status)
	}
	text := strings.Join(d.Status.Findings, "\n")
	for _, want := range []string{"wrote wrong values into Secret db", "pod " + pod.Name + " became unready", "restarted 2 times", "takes its Secrets in as its containers start", "was right again"} {
		if !strings.Contains(text, want) {
			t.Errorf("no finding %q in:\n%s", want, text)
		}
	}
}

// setReady says of a pod's container how often it was restarted and whether it is
// ready. Controllers write the rest.
func (w *world) setReady(pod *corev1.Pod, ready corev1.ConditionStatus, restarts int32) {
	w.Helper()
	before := client.StrategicMergeFrom(pod.DeepCopy())
	pod.Status.ContainerStatuses[0].RestartCount = restarts
	pod.Status.ContainerStatuses[0].Ready = ready == corev1.ConditionTrue
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodReady {
			c.Status, c.LastTransitionTime = ready, metav1.Now()
		}
	}
	if err := testClient.Status().Patch(w.Context(), pod, before); err != nil {
		w.Fatal(err)
	}
}

// An operator that dies amid a drill leaves nothing that the next one does not
// put right: when the time was over meanwhile; when the Drill is gone; and when
// the next operator has no drills at all.
func TestOperatorKilled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		duration string
		drills   bool // of the next operator
		gone     bool // the Drill
	}{
		"time is up":        {"40s", true, false},
		"the Drill is gone": {"30m", true, true},
		"no drills":         {"30m", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			stop := w.start(nil)
			w.ready()
			w.drill("refused", "CredentialRefused", c.duration, "")
			w.wrong("refused")
			d := w.phase("refused", v1alpha1.DrillRunning, "")
			stop()
			w.wrong("refused")
			if c.gone {
				w.kubectl("delete", "drill", "refused", "--timeout=120s")
			}
			if c.duration == "40s" {
				w.await("the time is up", func() bool { return time.Now().After(d.Status.Until.Time) })
			}
			w.start(func(cfg *operator.Config) { cfg.Drills = c.drills })
			w.right()
			if c.drills && !c.gone {
				if d := w.phase("refused", v1alpha1.DrillOver, "TimeIsUp"); d.Status.Recovered == nil {
					t.Errorf("%+v", d.Status)
				}
			}
		})
	}
}

// A drill under way when the operator comes back goes on until its end.
func TestOperatorComesBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.start(nil)
	w.ready()
	w.drill("away", "StoreAway", "30m", "")
	d := w.phase("away", v1alpha1.DrillRunning, "")
	w.await("it is felt", func() bool { w.get("away", d); return d.Status.ExternalSecrets[0].Failed != nil })
	stop()
	w.start(nil)
	w.await("it is running", func() bool { return strings.HasSuffix(w.metric("strongkeep_drill_running"), " 1") })
	var again v1alpha1.Drill
	if w.get("away", &again); !again.Status.Until.Equal(d.Status.Until) {
		t.Errorf("until %v, then %v", d.Status.Until, again.Status.Until)
	}
	w.kubectl("delete", "drill", "away", "--timeout=120s") // which undoes it as well
	w.right()
	w.await("no metric is left", func() bool { return w.metric("strongkeep_drill_running") == "" })
}

// Deleting a Drill undoes it.
func TestDeletionUndoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(nil)
	w.ready()
	w.drill("refused", "CredentialRefused", "30m", ", keys: [user]")
	w.await("the key named is wrong", func() bool { return strings.HasPrefix(string(w.secret("db").Data["user"]), "strongkeep-drill-") })
	if s := w.secret("db"); string(s.Data["password"]) != canary+"-1" {
		t.Error("a key that was not named was changed")
	}
	w.kubectl("delete", "drill", "refused", "--timeout=120s")
	w.right()
}

// Without the flag there are no drills.
func TestOffByDefault(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.drill("away", "StoreAway", "1m", "")
	d := &v1alpha1.Drill{}
	w.get("away", d)
	now := metav1.Now() // even one that says that it runs
	until := metav1.NewTime(now.Add(time.Minute))
	d.Status = v1alpha1.DrillStatus{Phase: v1alpha1.DrillRunning, Began: &now, Until: &until, ExternalSecrets: []v1alpha1.DrilledSecret{{Name: "db", Secret: "db"}}}
	if err := testClient.Status().Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	w.start(func(c *operator.Config) { c.Drills = false })
	w.right()
	w.await("subscribed", func() bool { return w.vault.Subscribers() == 1 })
	w.vault.Put("app", `{"user":"web","password":"`+canary+`-2"}`)
	w.await("it is in step", func() bool { return string(w.secret("db").Data["password"]) == canary+"-2" })
}

// A drill that would reach beyond its workload, or could not be undone, is
// refused, with the reason and the next command; nothing is broken. What single
// objects say is in TestUnfit and others beside the code.
func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(nil)
	w.ready()
	location := ""
	for at := range versionsOf(w.secret("db")) {
		location = at
	}
	other := strings.NewReplacer("{name: web}", "{name: other}", "app: web", "app: other").Replace(web)
	uses := "containers: [{name: c, image: c, envFrom: [{secretRef: {name: db}}]}]"
	for i, c := range []struct {
		failure, objects, reason, words string
		prepare                         func()
	}{
		{"StoreAway", "", "NotAllowed", "kubectl label namespace", func() { w.kubectl("label", "namespace", w.ns, v1alpha1.LabelDrills+"-") }},
		{"StoreAway", "", "NotAllowed", "=allowed", func() { w.kubectl("label", "namespace", w.ns, "--overwrite", v1alpha1.LabelDrills+"=true") }},
		{"StoreAway", other, "SharedSecret", "Deployment other uses a Secret of Deployment web too", nil},
		{"CredentialRefused", strings.Replace(other, "replicas: 2", "replicas: 0", 1), "SharedSecret", "Deployment other uses", nil},
		{"SlowSync", "apiVersion: v1\nkind: Pod\nmetadata: {name: bare}\nspec: {" + uses + "}\n", "SharedSecret", "Pod bare uses", nil},
		{"SlowSync", "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: nightly}\nspec: {schedule: '@yearly', jobTemplate: {spec: {template: {spec: {restartPolicy: Never, " + uses + "}}}}}\n", "SharedSecret", "CronJob nightly uses", nil},
		{"StoreAway", "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: front}\nspec: {tls: [{secretName: db}], defaultBackend: {service: {name: x, port: {number: 1}}}}\n", "SharedSecret", "Ingress front uses", nil},
		{"CredentialRefused", "apiVersion: v1\nkind: Secret\nmetadata: {name: copy}\n", "SharedSecret", "is kept as a copy of Secret db", func() {
			w.kubectl("annotate", "secret", "copy", "reflector.v1.k8s.emberstack.com/reflects="+w.ns+"/db")
		}},
		{"CredentialRefused", "apiVersion: external-secrets.io/v1\nkind: SecretStore\nmetadata: {name: second}\nspec: {provider: {vault: {server: VAULT, path: secret, auth: {tokenSecretRef: {name: db, key: password}}}}}\n", "SharedSecret", "second\" may log in with Secret db", nil},
		{"StoreAway", strings.Replace(dbSecret, "SPEC", "refreshPolicy: CreatedOnce", 1), "NotRestorable", "reads the store only once", nil},
		{"StoreAway", strings.Replace(web, "name: db", "name: by-hand", 1), "NothingFed", "no ExternalSecret writes a Secret that Deployment web uses", nil},
		{"StoreAway", "", "NoWorkload", "kubectl get deployments", func() { w.kubectl("delete", "deployment", "web", "--timeout=120s") }},
		{"CredentialRefused", rotationOf("database: {role: orders}"), "Rotation", "strongkeep rotation watch", func() {
			w.turn(v1alpha1.RotationStatus{Phase: v1alpha1.PhaseRolling, Location: location})
		}},
	} {
		if c.objects != "" {
			w.apply(c.objects)
		}
		if c.prepare != nil {
			c.prepare()
		}
		name := fmt.Sprintf("denied-%d", i)
		w.drill(name, c.failure, "10m", "")
		d := w.phase(name, v1alpha1.DrillRefused, "")
		cond := meta.FindStatusCondition(d.Status.Conditions, v1alpha1.ConditionRefused)
		if d.Status.Reason != c.reason || cond == nil || cond.Status != metav1.ConditionTrue || !strings.Contains(cond.Message, c.words) {
			t.Errorf("%s, condition %+v, want %s with %q", d.Status.Reason, cond, c.reason, c.words)
		}
		if d.Status.Began != nil || d.Status.Until != nil || len(d.Status.ExternalSecrets) > 0 {
			t.Errorf("%s: %+v", c.words, d.Status)
		}
		if string(w.secret("db").Data["password"]) != canary+"-1" {
			t.Errorf("%s: the Secret was changed", c.words)
		}
		if c.objects != "" && !strings.Contains(c.objects, "{name: web}") && !strings.Contains(c.objects, "{name: db}\nspec") {
			w.delete(c.objects)
			w.await("its pods are gone", func() bool { return w.kubectl("get", "pods", "--selector=app=other", "--output=name") == "" })
		}
		switch c.reason {
		case "NotAllowed":
			w.kubectl("label", "namespace", w.ns, "--overwrite", v1alpha1.LabelDrills+"="+v1alpha1.DrillsAllowed)
		case "NotRestorable", "NothingFed", "NoWorkload":
			w.apply(base)
		}
	}
	w.ready()
	w.drill("at-last", "StoreAway", "10m", "") // with all of that gone it may
	w.phase("at-last", v1alpha1.DrillRunning, "")
}

const dbSecret = `
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: db}
spec: {secretStoreRef: {name: vault}, dataFrom: [{extract: {key: app}}], SPEC}
`

func rotationOf(spec string) string {
	return "apiVersion: strongkeep.io/v1alpha1\nkind: Rotation\nmetadata: {name: orders}\nspec:\n  target:\n    storeRef: {name: vault}\n    " + spec + "\n"
}

func versionsOf(s *corev1.Secret) map[string]string {
	out := map[string]string{}
	text := s.Annotations["strongkeep.io/versions"] // {"LOCATION":"1"}
	if parts := strings.Split(text, `"`); len(parts) > 3 {
		out[parts[1]] = parts[3]
	}
	return out
}

// turn has Rotation orders say that it is in a turn. Nobody works on it here.
func (w *world) turn(status v1alpha1.RotationStatus) {
	w.Helper()
	rot := &v1alpha1.Rotation{}
	w.get("orders", rot)
	rot.Status = status
	if err := testClient.Status().Update(w.Context(), rot); err != nil {
		w.Fatal(err)
	}
}

// What makes a drill impossible later ends it.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reason string
		do     func(w *world)
	}{
		"another workload": {"SharedSecret", func(w *world) {
			w.apply(strings.NewReplacer("{name: web}", "{name: other}", "app: web", "app: other").Replace(web))
		}},
		"the label": {"NotAllowed", func(w *world) { w.kubectl("label", "namespace", w.ns, v1alpha1.LabelDrills+"-") }},
		"a turn": {"Rotation", func(w *world) {
			w.apply(rotationOf("database: {role: orders}\n  consumers: {secrets: [{name: db}]}"))
			w.turn(v1alpha1.RotationStatus{Phase: v1alpha1.PhasePublishing})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.start(nil)
			w.ready()
			w.drill("refused", "CredentialRefused", "30m", "")
			w.wrong("refused")
			c.do(w)
			w.phase("refused", v1alpha1.DrillOver, c.reason)
			w.right()
		})
	}
}

// One drill at a time has hold of a Secret, and the second does not wait for it.
func TestTwoDrills(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.start(nil)
	w.ready()
	w.drill("first", "StoreAway", "30m", "")
	w.phase("first", v1alpha1.DrillRunning, "")
	w.await("it is felt", func() bool { var es v1.ExternalSecret; w.get("db", &es); return !v1.IsReady(es.Status.Conditions) })
	w.drill("second", "CredentialRefused", "30m", "")
	w.phase("second", v1alpha1.DrillRefused, "")
	w.kubectl("delete", "drill", "first", "--timeout=120s")
	w.right()
}

// What the API server refuses by the definition alone.
func TestDrillAdmission(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for want, spec := range map[string]string{
		"between 1s and 1h":           "failure: StoreAway, duration: 1h1s",
		"duration must be between":    "failure: StoreAway, duration: 0s",
		"in body must be of type":     "failure: StoreAway, duration: 7",
		"delay is for the failure":    "failure: StoreAway, duration: 1m, delay: 2s",
		"shorter than duration":       "failure: SlowSync, duration: 1m, delay: 2m",
		"delay is 10s when not":       "failure: SlowSync, duration: 10s",
		"delay must be 1s or more":    "failure: SlowSync, duration: 1m, delay: 0s",
		"keys are for the failure":    "failure: StoreAway, duration: 1m, keys: [a]",
		"Unsupported value: \"Fire\"": "failure: Fire, duration: 1m",
		"should have at least 1":      "failure: CredentialRefused, duration: 1m, keys: []",
	} {
		text := "apiVersion: strongkeep.io/v1alpha1\nkind: Drill\nmetadata: {name: x}\nspec: {workload: {kind: Deployment, name: web}, " + spec + "}\n"
		_, err := testCluster.Kubectl(t.Context(), strings.NewReader(text), "apply", "-n", w.ns, "--dry-run=server", "-f", "-")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want a refusal with %q, got %v", spec, want, err)
		}
	}
	w.drill("fixed", "StoreAway", "1h", "")
	d := &v1alpha1.Drill{}
	w.get("fixed", d)
	d.Spec.Duration.Duration = time.Minute
	if err := testClient.Update(t.Context(), d); err == nil || !strings.Contains(err.Error(), "a drill is not changed") {
		t.Errorf("a changed spec: %v", err)
	}
	// Nobody gets more than an hour by writing the status either.
	w.get("fixed", d)
	now, until := metav1.Now(), metav1.NewTime(time.Now().Add(24*time.Hour))
	d.Status = v1alpha1.DrillStatus{Phase: v1alpha1.DrillRunning, Began: &now, Until: &until, ExternalSecrets: []v1alpha1.DrilledSecret{{Name: "db", Secret: "db"}}}
	if err := testClient.Status().Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	w.start(nil)
	w.right()
	w.phase("fixed", v1alpha1.DrillOver, "")
}

// The example is what docs/rotation/drills.md says, and runs.
func TestDrillExample(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	raw, err := os.ReadFile("../../../examples/rotation/drill.yaml")
	if err != nil {
		t.Fatal(err)
	}
	w.start(nil)
	w.ready()
	w.apply(strings.ReplaceAll(string(raw), "namespace: shop", "namespace: "+w.ns))
	var list v1alpha1.DrillList
	if err := testClient.List(t.Context(), &list, client.InNamespace(w.ns)); err != nil || len(list.Items) == 0 {
		t.Fatalf("%d drills, %v", len(list.Items), err)
	}
	name := list.Items[0].Name
	w.phase(name, v1alpha1.DrillRunning, "")
	if err := testClient.Delete(t.Context(), &v1alpha1.Drill{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: name}}); err != nil {
		t.Fatal(err)
	}
	w.right()
}
