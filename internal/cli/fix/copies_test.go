package fix_test

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/testenv/await"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const copies = `
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData: {password: CANARY-Zx81Kq, user: app}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: app}
data: {password: CANARY-Zx81Kq, host: db.internal, user: app}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  strategy: {type: Recreate} # no pod of theirs runs here, so that none would make room for another
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: web
        env:
        - {name: LEVEL, value: info}
        - {name: DB_PASSWORD, value: CANARY-Zx81Kq}
        - {name: MAPPED, valueFrom: {configMapKeyRef: {name: app, key: password}}}
        envFrom: [{prefix: APP_, configMapRef: {name: app}}]
        volumeMounts: [{name: conf, mountPath: /etc/app}]
      volumes: [{name: conf, configMap: {name: app, defaultMode: 0440}}]
---
`

// from is where a variable of the Deployment comes from: "secret NAME/KEY", "map NAME/KEY", or
// its literal.
func from(d *appsv1.Deployment, name string) string {
	for _, e := range d.Spec.Template.Spec.Containers[0].Env {
		switch {
		case e.Name != name:
		case e.ValueFrom == nil:
			return e.Value
		case e.ValueFrom.SecretKeyRef != nil:
			return "secret " + e.ValueFrom.SecretKeyRef.Name + "/" + e.ValueFrom.SecretKeyRef.Key
		case e.ValueFrom.ConfigMapKeyRef != nil:
			return "map " + e.ValueFrom.ConfigMapKeyRef.Name + "/" + e.ValueFrom.ConfigMapKeyRef.Key
		}
	}
	return ""
}

// A literal becomes the Secret that holds the same: as a variable, which is less wrong and
// said so, or as a file.
func TestLiteralBecomesSecret(t *testing.T) {
	ns := namespace(t, copies)
	before := deployment(t, ns)
	out, stderr, code := run(t, "fix", "SEC-09", ns+"/web", "-secret=db")
	if code != 0 || !strings.Contains(out, "Nothing is changed yet") || !strings.Contains(out, "value: null") || deployment(t, ns).Generation != before.Generation {
		t.Fatalf("a proposal: %d\n%s%s", code, out, stderr)
	}
	out, stderr, code = run(t, "fix", "SEC-09", ns+"/web", "-secret=db", "-apply")
	if d := deployment(t, ns); code != 10 || strings.Contains(out, "still found") || !strings.Contains(out, "found now") || from(d, "DB_PASSWORD") != "secret db/password" || from(d, "LEVEL") != "info" || from(d, "MAPPED") != "map app/password" {
		t.Errorf("%d\n%s%s%+v", code, out, stderr, len(d.Spec.Template.Spec.Containers[0].Env))
	}
	if out, _, code := run(t, "fix", "SEC-09", ns+"/web", "-secret=db"); code != 5 {
		t.Errorf("there is nothing left: %d\n%s", code, out)
	}
	ns = namespace(t, copies)
	out, stderr, code = run(t, "fix", "SEC-09", ns+"/web", "-secret=db", "-file-env", "-apply")
	if d := deployment(t, ns); code != 0 || !strings.Contains(out, "SEC-09 finds nothing more of Deployment "+ns+"/web") || from(d, "DB_PASSWORD") != "" || from(d, "DB_PASSWORD_FILE") != "/var/run/strongkeep/secrets/db/password" {
		t.Errorf("as a file: %d\n%s%s", code, out, stderr)
	}
}

// Who uses a ConfigMap's key takes the same from the Secret, at the same places; then the
// key goes, and nothing else.
func TestConfigMapBecomesSecret(t *testing.T) {
	ns := namespace(t, copies)
	name := "configmap/" + ns + "/app"
	out, stderr, code := run(t, "fix", "SEC-05", name, "-secret=db", "-apply")
	d := deployment(t, ns)
	if code != 10 || !strings.Contains(out, "still found") || from(d, "MAPPED") != "secret db/password" || from(d, "APP_password") != "secret db/password" {
		t.Fatalf("its users: %d\n%s%s", code, out, stderr)
	}
	spec := &d.Spec.Template.Spec
	if v := spec.Volumes[0]; len(spec.Volumes) != 1 || v.ConfigMap != nil || v.Projected == nil || len(v.Projected.Sources) != 2 || *v.Projected.DefaultMode != 0o440 || v.Projected.Sources[1].Secret.Items[0].Path != "password" || len(spec.Containers[0].VolumeMounts) != 1 {
		t.Errorf("its files: %+v", v.Projected)
	}
	m := &corev1.ConfigMap{}
	read := func() map[string]string {
		t.Helper()
		m = &corev1.ConfigMap{}
		if err := server.Client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "app"}, m); err != nil {
			t.Fatal(err)
		}
		return m.Data
	}
	if len(read()) != 3 {
		t.Error("the key went before its users had moved")
	}
	// A pod of the template before has it yet.
	pod := &corev1.Pod{}
	pod.Namespace, pod.Name = ns, "old"
	pod.Spec.Containers = []corev1.Container{{Name: "web", Image: "web", EnvFrom: []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "app"}}}}}}
	if err := server.Client.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code = run(t, "fix", "SEC-05", name, "-secret=db", "-apply"); code != 6 || !strings.Contains(stderr, "old") || len(read()) != 3 {
		t.Errorf("a pod has it: %d %s", code, stderr)
	}
	if err := server.Client.Delete(t.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	await.Until(t, "no pod of the template before is left", func() bool {
		out, stderr, code = run(t, "fix", "SEC-05", name, "-secret=db", "-apply")
		return code != 6
	})
	if data := read(); code != 0 || !strings.Contains(out, "SEC-05 finds nothing more of ConfigMap "+ns+"/app") || len(data) != 2 || data["host"] != "db.internal" || data["password"] != "" {
		t.Errorf("the key: %d\n%s%s", code, out, stderr)
	}
}

const scheduled = `
apiVersion: v1
kind: Secret
metadata: {name: db}
stringData: {password: CANARY-Zx81Kq}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: app}
data: {password: CANARY-Zx81Kq, host: db.internal}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: night}
spec:
  schedule: 0 0 1 1 *
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: c, image: c, envFrom: [{configMapRef: {name: app}}]}]
---
`

// Jobs that a CronJob made keep a key where it is only until they have ended.
func TestConfigMapOfCronJob(t *testing.T) {
	ns := namespace(t, scheduled)
	name := "configmap/" + ns + "/app"
	cron := &batchv1.CronJob{}
	if err := server.Client.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "night"}, cron); err != nil {
		t.Fatal(err)
	}
	jobs := map[string]*batchv1.Job{}
	for _, n := range []string{"first", "second"} { // suspended: no pod of theirs would run here
		j := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: n, OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(cron, batchv1.SchemeGroupVersion.WithKind("CronJob"))}}, Spec: *cron.Spec.JobTemplate.Spec.DeepCopy()}
		j.Spec.Suspend = new(true)
		if err := server.Client.Create(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		jobs[n] = j
	}
	end := func(n string, c batchv1.JobConditionType, because batchv1.JobConditionType) {
		t.Helper()
		await.Until(t, "Job "+n+" is "+string(c), func() bool {
			j := &batchv1.Job{}
			if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(jobs[n]), j); err != nil {
				t.Fatal(err)
			}
			now := metav1.Now()
			j.Status.StartTime, j.Status.UncountedTerminatedPods = &now, nil
			if c == batchv1.JobComplete {
				j.Status.CompletionTime, j.Status.Succeeded = &now, 1
			}
			for _, one := range []batchv1.JobConditionType{because, c} {
				j.Status.Conditions = append(j.Status.Conditions, batchv1.JobCondition{Type: one, Status: corev1.ConditionTrue, LastTransitionTime: now})
			}
			err := server.Client.Status().Update(t.Context(), j)
			if err != nil && !apierrors.IsConflict(err) {
				t.Fatal(err)
			}
			return err == nil
		})
	}
	end("first", batchv1.JobComplete, batchv1.JobSuccessCriteriaMet)
	out, stderr, code := run(t, "fix", "SEC-05", name, "-secret=db", "-apply")
	if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(cron), cron); err != nil {
		t.Fatal(err)
	}
	if env := cron.Spec.JobTemplate.Spec.Template.Spec.Containers[0].Env; code != 10 || len(env) != 1 || env[0].ValueFrom.SecretKeyRef == nil {
		t.Fatalf("the CronJob: %d\n%s%s%+v", code, out, stderr, env)
	}
	if _, stderr, code = run(t, "fix", "SEC-05", name, "-secret=db", "-apply"); code != 6 || !strings.Contains(stderr, "Job "+ns+"/second") || strings.Contains(stderr, ns+"/first") {
		t.Fatalf("a Job has not ended: %d %s", code, stderr)
	}
	end("second", batchv1.JobFailed, batchv1.JobFailureTarget)
	if out, stderr, code = run(t, "fix", "SEC-05", name, "-secret=db", "-apply"); code != 0 || !strings.Contains(out, "SEC-05 finds nothing more of ConfigMap "+ns+"/app") {
		t.Errorf("the key: %d\n%s%s", code, out, stderr)
	}
}
