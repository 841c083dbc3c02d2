package check

import (
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Holder is what has a Template: a workload, or a pod of which no workload is known.
type Holder struct {
	Ref   snapshot.Ref
	Place string
	// Spec is the path of the pod's spec, "spec.template.spec".
	Spec     string
	Template *snapshot.Template
	// Annotations are those of the holder and of its template, which win.
	Annotations map[string]string
}

// Holders returns every template once: those of workloads, and those of pods that
// none of these made. Finished pods are left out.
func (in *Input) Holders() []Holder {
	out := make([]Holder, 0, len(in.Workloads))
	known := make(map[snapshot.Ref]bool, len(in.Workloads))
	for i := range in.Workloads {
		w := &in.Workloads[i]
		ref := snapshot.Ref{Group: w.Group, Kind: w.Kind, Namespace: w.Namespace, Name: w.Name}
		known[ref] = true
		out = append(out, Holder{Ref: ref, Place: w.Place, Spec: specOf(w.Kind), Template: &w.Template, Annotations: merged(w.Annotations, w.TemplateAnnotations)})
	}
	made := map[snapshot.Ref]bool{}
	for i := range in.Pods {
		p := &in.Pods[i]
		ref := snapshot.Ref{Kind: "Pod", Namespace: p.Namespace, Name: p.Name}
		if p.Phase == "Succeeded" || p.Phase == "Failed" || known[p.Workload] || made[p.Workload] {
			continue
		}
		if p.Workload.Kind != "" && p.Workload != ref {
			// Pods of a kind that is not read, such as a custom resource: one stands for all.
			made[p.Workload] = true
		}
		out = append(out, Holder{Ref: ref, Place: p.Place, Spec: "spec", Template: &p.Template, Annotations: p.Annotations})
	}
	return out
}

func specOf(kind string) string {
	switch kind {
	case "CronJob":
		return "spec.jobTemplate.spec.template.spec"
	case "PodTemplate":
		return "template.spec"
	case "Pod":
		return "spec"
	}
	return "spec.template.spec"
}

func merged(all ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range all {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

// Container is the path of a container below the pod's spec: "containers[web]",
// "initContainers[wait]", "ephemeralContainers[debug]".
func (h *Holder) Container(name string) string {
	for _, c := range h.Template.Containers {
		if c.Name != name {
			continue
		}
		switch c.Kind {
		case "init", "sidecar":
			return h.Spec + ".initContainers[" + name + "]"
		case "ephemeral":
			return h.Spec + ".ephemeralContainers[" + name + "]"
		}
	}
	return h.Spec + ".containers[" + name + "]"
}
