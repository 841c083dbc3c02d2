package doctor

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// OfPod begins a Diagnosis of a pod: its Object is what makes the pod, where that
// is known.
func (c *Case) OfPod(p *corev1.Pod, symptom, cause string, sure Confidence) Diagnosis {
	pod := PodRef(p)
	d := Diagnosis{Symptom: symptom, Object: pod, Cause: cause, Confidence: sure, About: []snapshot.Ref{pod}}
	if w := c.WorkloadOf(p); w != nil {
		d.Object, d.Affected = w.Ref(), []string{p.Name}
	}
	return d
}

// PodRef names p.
func PodRef(p *corev1.Pod) snapshot.Ref {
	return snapshot.Ref{Kind: "Pod", Namespace: p.Namespace, Name: p.Name}
}

// Replace is the command that puts value at a JSON pointer within the pod's spec
// of what makes p. For a pod that nothing makes it is text: most of a pod's spec
// cannot be changed.
func (c *Case) Replace(p *corev1.Pod, at, value string) check.Fix {
	w := c.WorkloadOf(p)
	if w == nil || w.At == "" {
		return check.Fix{Text: fmt.Sprintf("in the manifest of the pod put %s at spec%s, delete the pod, and make it anew", value, strings.ReplaceAll(at, "/", "."))}
	}
	return check.Fix{Command: fmt.Sprintf(`kubectl -n %s patch %s %s --type=json -p '[{"op":"replace","path":"%s/spec%s","value":%q}]'`,
		w.Namespace, Argument(w), w.Name, w.At, at, value)}
}

// Argument is how kubectl is told the kind of w.
func Argument(w *Workload) string {
	if w.Group == "" || w.Group == "apps" || w.Group == "batch" {
		return strings.ToLower(w.Kind)
	}
	return strings.ToLower(w.Kind) + "." + w.Group
}
