package doctor

import (
	"encoding/json"
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

// Spot is where a name stands in a pod's spec.
type Spot struct {
	// Field is for people: "spec.containers[web].env[PASSWORD]".
	Field string
	// Is is what stands there now.
	Is string
	// At returns the JSON pointer of it within a spec that has the same, "" where it is
	// not there: a pod has containers, volumes and more, in front of its own, that what
	// makes it has not.
	At func(*corev1.PodSpec) string
}

// Replace is the command that puts value at a spot of the template that p is made of; it
// does nothing if something else stands there by then. For a pod that nothing makes it is
// text: most of a pod's spec cannot be changed.
func (c *Case) Replace(p *corev1.Pod, s Spot, value string) check.Fix {
	w := c.WorkloadOf(p)
	if w == nil || w.At == "" {
		return check.Fix{Text: fmt.Sprintf("in the manifest of the pod put %s at %s, delete the pod, and make it anew", value, s.Field)}
	}
	at := s.At(&w.Template.Spec)
	if at == "" {
		return check.Fix{Text: fmt.Sprintf("%s has %s only in its pods: correct %s to %s in what puts it there", w.Ref(), s.Field, s.Is, value)}
	}
	type op struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value string `json:"value"`
	}
	path := w.At + "/spec" + at
	patch, _ := json.Marshal([]op{{"test", path, s.Is}, {"replace", path, value}}) // texts alone
	return check.Fix{Command: check.Command("kubectl -n %s patch %s %s --type=json -p %s", w.Namespace, Argument(w), w.Name, string(patch))}
}

// Argument is how kubectl is told the kind of w.
func Argument(w *Workload) string {
	if w.Group == "" || w.Group == "apps" || w.Group == "batch" {
		return strings.ToLower(w.Kind)
	}
	return strings.ToLower(w.Kind) + "." + w.Group
}
