package shadow_test

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/strongkeep/strongkeep/internal/kube/rotate/rehearse/shadow"
)

func template(t *testing.T, text string) *corev1.PodTemplateSpec {
	t.Helper()
	out := &corev1.PodTemplateSpec{}
	if err := yaml.UnmarshalStrict([]byte(text), &out.Spec); err != nil {
		t.Fatal(err)
	}
	return out
}

// Every way in which containers name a Secret names the shadow's; nothing of the
// template itself is changed.
func TestCopyNamesItsOwnSecrets(t *testing.T) {
	from := template(t, `
priorityClassName: high
nodeName: one
terminationGracePeriodSeconds: 300
imagePullSecrets: [{name: db}]
volumes:
- {name: a, secret: {secretName: db}}
- {name: b, projected: {sources: [{secret: {name: db}}, {secret: {name: other}}]}}
- {name: c, emptyDir: {}}
initContainers:
- {name: i, image: i, envFrom: [{secretRef: {name: db}}]}
containers:
- name: c
  image: c
  ports: [{containerPort: 80, hostPort: 80}]
  volumeMounts: [{name: a, mountPath: /a, subPath: password}]
  env: [{name: P, valueFrom: {secretKeyRef: {name: db, key: p}}}, {name: Q, valueFrom: {secretKeyRef: {name: other, key: p}}}]
`)
	before, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	spec, why := shadow.Copy(from, map[string]string{"db": "shadow-db"})
	if why != "" {
		t.Fatal(why)
	}
	raw, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	if strings.Count(text, `"shadow-db"`) != 4 || strings.Count(text, `"other"`) != 2 || strings.Count(text, `"db"`) != 1 {
		t.Errorf("the Secrets of the copy: %s", text)
	}
	if spec.NodeName != "" || spec.PriorityClassName != "" || spec.Containers[0].Ports[0].HostPort != 0 ||
		*spec.TerminationGracePeriodSeconds != 5 || ptr.Deref(spec.ActiveDeadlineSeconds, 0) <= 0 {
		t.Errorf("the copy keeps what only one pod may have, or does not end: %s", text)
	}
	if after, _ := json.Marshal(from); string(after) != string(before) {
		t.Error("the template was changed")
	}
}

// What gets at something of the pods that serve has no copy.
func TestCopyRefuses(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"claim":     {"volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]", "volume v"},
		"host path": {"volumes: [{name: v, hostPath: {path: /}}]", "volume v"},
		"csi":       {"volumes: [{name: v, csi: {driver: d}}]", "volume v"},
		"network":   {"hostNetwork: true", "network"},
		"processes": {"hostPID: true", "processes"},
		"template":  {"containers: [{name: c, volumeMounts: [{name: data, mountPath: /d}]}]", "volume data is made for each"},
	} {
		t.Run(name, func(t *testing.T) {
			if spec, why := shadow.Copy(template(t, c.text), nil); spec != nil || !strings.Contains(why, c.want) {
				t.Errorf("%q, want %q", why, c.want)
			}
		})
	}
}
