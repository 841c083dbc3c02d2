package start

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/check"
	"github.com/strongkeep/strongkeep/internal/kube/posture/doctor"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Symptom is what keeps pods from starting.
func Symptom() doctor.Symptom { return doctor.Symptom{Name: "start", Find: Find} }

// Find looks at every pod that does not run, and at workloads whose pods are not
// made.
func Find(c *doctor.Case) []doctor.Diagnosis {
	var out []doctor.Diagnosis
	for i := range c.Pods {
		p := &c.Pods[i]
		if consumer.Ended(p) || p.DeletionTimestamp != nil {
			continue
		}
		x := &look{Case: c, pod: p}
		switch {
		case waits(p):
			out = append(out, x.references()...)
			out = append(out, x.pulls()...)
			out = append(out, x.accounts()...)
		case !ready(p):
			out = append(out, x.optional()...)
		}
	}
	for i := range c.Workloads {
		out = append(out, refused(c, &c.Workloads[i])...)
	}
	return out
}

// waits reports whether a container of p was never begun.
func waits(p *corev1.Pod) bool {
	if p.Status.Phase == corev1.PodPending {
		return true
	}
	return slices.ContainsFunc(slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses), func(s corev1.ContainerStatus) bool {
		return s.State.Waiting != nil && (s.State.Waiting.Reason == "CreateContainerConfigError" || s.State.Waiting.Reason == "ContainerCreating")
	})
}

func ready(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// look is one pod.
type look struct {
	*doctor.Case
	pod *corev1.Pod
}

// references are those that are not there. What is missing is told once, however
// often the pod names it.
func (x *look) references() []doctor.Diagnosis {
	var out []doctor.Diagnosis
	told := map[string]bool{}
	tell := func(r doctor.Reference, d doctor.Diagnosis) {
		if id := r.Kind + "/" + r.Name + "/" + r.Key; !told[id] {
			told[id] = true
			x.words(&d, r.Name)
			out = append(out, d)
		}
	}
	for _, r := range doctor.References(&x.pod.Spec) {
		if r.Optional {
			continue
		}
		switch x.state(r) {
		case gone:
			r.Key = ""
			tell(r, x.absent(r))
		case keyless:
			tell(r, x.keyless(r))
		case fine:
		}
	}
	return out
}

// state is whether a reference is there.
type state int

const (
	fine state = iota // or not known
	gone
	keyless
)

// state says gone and keyless only of what was read, or what the kubelet says.
func (x *look) state(r doctor.Reference) state {
	held, resource := x.Secret(x.pod.Namespace, r.Name), "secrets"
	if r.Kind == "ConfigMap" {
		held, resource = x.ConfigMap(x.pod.Namespace, r.Name), "configmaps"
	}
	switch {
	case held == nil && x.Knows(resource, x.pod.Namespace):
		return gone
	case held == nil:
		return x.told(r)
	case r.Key != "" && held.Sure && !slices.Contains(held.Keys, r.Key):
		return keyless
	}
	return fine
}

func object(p *corev1.Pod, r doctor.Reference) snapshot.Ref {
	return snapshot.Ref{Kind: r.Kind, Namespace: p.Namespace, Name: r.Name}
}

// who is the part of the pod that needs a reference.
func who(r doctor.Reference) string {
	if r.Container != "" {
		return "container " + r.Container
	}
	return "the pod"
}

func (x *look) keyless(r doctor.Reference) doctor.Diagnosis {
	d := x.OfPod(x.pod, "KeyMissing", fmt.Sprintf("%s needs key %s of %s %s, which has no such key", who(r), r.Key, r.Kind, r.Name), doctor.Sure)
	d.Add(doctor.PodRef(x.pod), r.Field, "it names key %s of %s %s", r.Key, r.Kind, r.Name)
	held := x.Secret(x.pod.Namespace, r.Name)
	if r.Kind == "ConfigMap" {
		held = x.ConfigMap(x.pod.Namespace, r.Name)
	}
	var keys []string
	if held != nil {
		keys = held.Keys
	}
	d.Add(object(x.pod, r), "data", "it has %d keys: %s", len(keys), few(keys))
	if near := doctor.Near(r.Key, keys); len(near) > 0 {
		d.Cause += "; it has " + near[0]
		d.Fix = x.Replace(x.pod, r.KeySpot(), near[0])
		return d
	}
	if es := x.maker(r); es != nil {
		d.Fix = check.Fix{Text: fmt.Sprintf("add key %s to spec.data of ExternalSecret %s, which makes the Secret", r.Key, es.Name)}
		return d
	}
	d.Fix = check.Fix{Text: fmt.Sprintf("add key %s to %s %s where it comes from, or name another key", r.Key, r.Kind, r.Name)}
	if held != nil {
		if from := doctor.Comes(held.Origin(r.Kind)); from != "" {
			d.Add(object(x.pod, r), "metadata", "where it comes from: %s", from)
			d.Fix.Text = fmt.Sprintf("add key %s to %s %s where it comes from (%s), or name another key", r.Key, r.Kind, r.Name, from)
		}
	}
	return d
}

// few are the first of names.
func few(names []string) string {
	const most = 20
	if len(names) == 0 {
		return "none"
	}
	text := names[0]
	for _, n := range names[1:min(most, len(names))] {
		text += ", " + n
	}
	if len(names) > most {
		text += ", …"
	}
	return text
}

// optional are references that are missing, and may be: possible reasons why a pod
// that runs is not ready.
func (x *look) optional() []doctor.Diagnosis {
	var out []doctor.Diagnosis
	for _, r := range doctor.References(&x.pod.Spec) {
		if !r.Optional || r.Pull || x.state(r) == fine {
			continue
		}
		d := x.absent(r)
		d.Symptom, d.Confidence = "OptionalMissing", doctor.Possible
		d.Cause = "the pod is not ready, and runs without what it names as optional: " + d.Cause
		out = append(out, d)
	}
	return out
}

// pulls are logins of registries that are not there.
func (x *look) pulls() []doctor.Diagnosis {
	failed := ""
	for _, s := range slices.Concat(x.pod.Status.InitContainerStatuses, x.pod.Status.ContainerStatuses) {
		if w := s.State.Waiting; w != nil && (w.Reason == "ErrImagePull" || w.Reason == "ImagePullBackOff") {
			failed = s.Name
		}
	}
	if failed == "" {
		return nil
	}
	var out []doctor.Diagnosis
	for _, r := range doctor.References(&x.pod.Spec) {
		if !r.Pull || x.state(r) != gone {
			continue
		}
		d := x.absent(r)
		d.Symptom, d.Confidence = "PullSecretMissing", doctor.Likely
		d.Cause = fmt.Sprintf("the image of container %s cannot be pulled, and imagePullSecret %s does not exist in namespace %s", failed, r.Name, x.pod.Namespace)
		if a := x.Account(x.pod.Namespace, x.pod.Spec.ServiceAccountName); a != nil && slices.Contains(a.ImagePullSecrets, corev1.LocalObjectReference{Name: r.Name}) {
			d.Add(snapshot.Ref{Kind: "ServiceAccount", Namespace: a.Namespace, Name: a.Name}, "imagePullSecrets", "the pod has it from here")
		}
		out = append(out, d)
	}
	return out
}
