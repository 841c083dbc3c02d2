package consumer

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// annotationStamp is rollout.AnnotationStamp: rollout is above this package.
const annotationStamp = v1alpha1.Group + "/content"

// annotationMarked is rollout.AnnotationMarked.
const annotationMarked = v1alpha1.Group + "/marked"

// annotationReload is on a workload or its pod template; see Workload.Reload.
const annotationReload = v1alpha1.Group + "/reload"

// Health is how a pod does.
type Health struct {
	// Failing is why it does not run, and will not by waiting; empty when it may.
	Failing string
	// Late is what it waits for since Since, which is a failure when it lasts.
	Late  string
	Since time.Time
}

// At returns why the pod counts as failing at now: what it waits for counts
// once it has for patience.
func (h Health) At(now time.Time, patience time.Duration) string {
	if h.Failing == "" && h.Late != "" && now.Sub(h.Since) >= patience {
		return h.Late + " since " + h.Since.UTC().Format(time.RFC3339)
	}
	return h.Failing
}

// PodOf returns p as it is in a Graph, but for Workload and Failing: those take
// other objects and the time. Everything that it returns is its own.
func PodOf(p *corev1.Pod) (Pod, Health) {
	out := Pod{
		Object: Object{Kind: corev1.SchemeGroupVersion.WithKind("Pod"), NamespacedName: nameOf(p.Namespace, p.Name)},
		UID:    p.UID, Node: strings.Clone(p.Spec.NodeName), IP: strings.Clone(p.Status.PodIP), HostNetwork: p.Spec.HostNetwork,
		Uses: Uses(&p.Spec), Stamp: p.Annotations[annotationStamp], Annotations: ownAnnotations(p.Annotations),
		Created: p.CreationTimestamp.Time, Deleting: p.DeletionTimestamp != nil,
	}
	if out.HostNetwork {
		out.Ports = portsOf(&p.Spec)
	}
	out.Ready = condition(p, corev1.PodReady) == corev1.ConditionTrue
	return out, health(p)
}

// portsOf returns the ports that containers that run beside each other declare.
func portsOf(spec *corev1.PodSpec) (ports []int32) {
	for i := range spec.InitContainers {
		if c := &spec.InitContainers[i]; c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			ports = appendPorts(ports, c)
		}
	}
	for i := range spec.Containers {
		ports = appendPorts(ports, &spec.Containers[i])
	}
	return ports
}

func appendPorts(ports []int32, c *corev1.Container) []int32 {
	for _, p := range c.Ports {
		if p.Protocol == "" || p.Protocol == corev1.ProtocolTCP {
			ports = append(ports, p.ContainerPort)
		}
	}
	return ports
}

// Ended reports whether p is over: nothing of it runs, or will.
func Ended(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

func nameOf(namespace, name string) types.NamespacedName {
	return types.NamespacedName{Namespace: namespace, Name: name}
}

func ownAnnotations(all map[string]string) map[string]string {
	var out map[string]string
	for k, v := range all {
		if strings.HasPrefix(k, v1alpha1.Group+"/") {
			if out == nil {
				out = map[string]string{}
			}
			out[k] = v
		}
	}
	return out
}

func condition(p *corev1.Pod, t corev1.PodConditionType) corev1.ConditionStatus {
	if c := findCondition(p, t); c != nil {
		return c.Status
	}
	return corev1.ConditionUnknown
}

func findCondition(p *corev1.Pod, t corev1.PodConditionType) *corev1.PodCondition {
	for i := range p.Status.Conditions {
		if p.Status.Conditions[i].Type == t {
			return &p.Status.Conditions[i]
		}
	}
	return nil
}

// health reads reasons only, and one message that names objects: what a
// container wrote when it ended may be anything.
func health(p *corev1.Pod) Health {
	if p.DeletionTimestamp != nil {
		return Health{}
	}
	lists := [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses}
	for i, list := range lists {
		for j := range list {
			if why := containerFailure(&list[j]); why != "" {
				kind := "container "
				if i == 0 {
					kind = "init container "
				}
				return Health{Failing: kind + list[j].Name + ": " + why}
			}
		}
	}
	if c := findCondition(p, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionFalse {
		return Health{Late: "not scheduled: " + short(c.Reason), Since: c.LastTransitionTime.Time}
	}
	if c := findCondition(p, corev1.PodReady); c != nil && c.Status == corev1.ConditionFalse {
		return Health{Late: "not ready" + unready(p), Since: c.LastTransitionTime.Time}
	}
	return Health{}
}

// containerFailure returns why a container does not run, or "". A container
// that runs again after a failure runs.
func containerFailure(s *corev1.ContainerStatus) string {
	if t := s.State.Terminated; t != nil && t.ExitCode != 0 {
		return ended(t) + restarts(s)
	}
	w := s.State.Waiting
	if w == nil {
		return ""
	}
	switch w.Reason {
	case "", "ContainerCreating", "PodInitializing":
		return ""
	case "CreateContainerConfigError": // names a Secret, a ConfigMap or a key
		return w.Reason + ": " + short(w.Message)
	}
	why := short(w.Reason) + restarts(s)
	if t := s.LastTerminationState.Terminated; t != nil && t.ExitCode != 0 {
		why += ", " + ended(t)
	}
	return why
}

func ended(t *corev1.ContainerStateTerminated) string {
	if t.Reason == "" || t.Reason == "Error" {
		return fmt.Sprintf("exit code %d", t.ExitCode)
	}
	return short(t.Reason)
}

func restarts(s *corev1.ContainerStatus) string {
	switch s.RestartCount {
	case 0:
		return ""
	case 1:
		return ", 1 restart"
	}
	return fmt.Sprintf(", %d restarts", s.RestartCount)
}

// unready names the first container that is not ready.
func unready(p *corev1.Pod) string {
	for i := range p.Status.ContainerStatuses {
		if s := &p.Status.ContainerStatuses[i]; !s.Ready {
			return ": container " + s.Name
		}
	}
	return ""
}

// short bounds a text of somebody else's to one short line.
func short(s string) string {
	const most = 160
	s, _, _ = strings.Cut(s, "\n")
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
