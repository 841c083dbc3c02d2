package fix_test

import (
	"strings"
	"testing"

	"github.com/strongkeep/strongkeep/internal/testenv/await"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
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
