package record

import (
	"encoding/json"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/posture/snapshot"
)

// Template is what is kept of a pod's spec.
func (m *Maker) Template(spec *corev1.PodSpec) snapshot.Template {
	account := spec.ServiceAccountName
	if account == "" {
		account = spec.DeprecatedServiceAccount
	}
	if account == "" {
		account = "default"
	}
	out := snapshot.Template{
		Account: account, Automount: spec.AutomountServiceAccountToken, Containers: containers(spec),
		Privileged: Privileged(spec), Lowered: Lowered(spec), Tokens: tokens(spec),
	}
	out.Secrets, out.ConfigMaps = consumer.AllUses(spec)
	for _, class := range consumer.Classes(spec) {
		out.Classes = append(out.Classes, class)
	}
	slices.Sort(out.Classes)
	out.Classes = slices.Compact(out.Classes)
	if m.Key != nil {
		out.Values = m.podValues(spec)
	}
	return out
}

// Pod is what is kept of o. Its Workload is its controller, or itself: who knows the
// other objects finds the highest one.
func (m *Maker) Pod(o *corev1.Pod) snapshot.Pod {
	bare := o.ObjectMeta
	bare.ManagedFields = nil // of pods nobody asks who wrote them
	out := snapshot.Pod{Meta: Meta(&bare), Template: m.Template(&o.Spec), Node: o.Spec.NodeName, Phase: string(o.Status.Phase)}
	if o.Status.StartTime != nil {
		out.Started = o.Status.StartTime.UTC()
	}
	out.Workload = snapshot.Ref{Kind: "Pod", Namespace: o.Namespace, Name: o.Name}
	for i := range out.Owners {
		if out.Owners[i].Controller {
			out.Workload = out.Owners[i].Ref
		}
	}
	out.Values = append(out.Values, m.annotations(o.Annotations, func(raw []byte) []snapshot.Value {
		var applied corev1.Pod
		if json.Unmarshal(raw, &applied) != nil {
			return nil
		}
		return m.podValues(&applied.Spec)
	})...)
	return out
}

// Workload is what is kept of o, which makes pods; ok is false if it makes none in a
// way that is known.
func (m *Maker) Workload(o metav1.Object) (_ snapshot.Workload, ok bool) {
	if rc, is := o.(*corev1.ReplicationController); is {
		if rc.Spec.Template == nil {
			return snapshot.Workload{}, false
		}
		w := m.workload(o, snapshot.Ref{Kind: "ReplicationController"}, rc.Spec.Template)
		return w, true
	}
	found, template, ok := consumer.WorkloadOf(o)
	if !ok || template == nil {
		return snapshot.Workload{}, false
	}
	return m.workload(o, snapshot.Ref{Group: found.Kind.Group, Kind: found.Kind.Kind}, template), true
}

func (m *Maker) workload(o metav1.Object, kind snapshot.Ref, template *corev1.PodTemplateSpec) snapshot.Workload {
	out := snapshot.Workload{Meta: Meta(o), Group: kind.Group, Kind: kind.Kind, Template: m.Template(&template.Spec), Replicas: replicas(o)}
	out.TemplateAnnotations = Annotations(template.Annotations)
	inside := func(raw []byte) []snapshot.Value {
		_, values := m.object(kind.Kind, raw)
		return values
	}
	if makers[kind.Kind] == nil {
		inside = nil
	}
	out.Template.Values = append(out.Template.Values, m.annotations(o.GetAnnotations(), inside)...)
	for _, v := range m.annotations(template.Annotations, nil) {
		v.Field = snapshot.OfTemplate + v.Field
		out.Template.Values = append(out.Template.Values, v)
	}
	return out
}

// Revision is what is kept of a template of a StatefulSet or DaemonSet as it was, or of
// what somebody else keeps in such an object.
func (m *Maker) Revision(o *appsv1.ControllerRevision) snapshot.Workload {
	out := snapshot.Workload{Meta: Meta(o), Group: "apps", Kind: "ControllerRevision"}
	if m.Key == nil {
		return out
	}
	var was struct {
		Spec struct {
			Template *corev1.PodTemplateSpec `json:"template"`
		} `json:"spec"`
	}
	if json.Unmarshal(o.Data.Raw, &was) == nil && was.Spec.Template != nil {
		out.Template.Values = m.podValues(&was.Spec.Template.Spec)
	} else {
		l := leaves{maker: m, left: maxLeaves, sensitive: true}
		l.tree("data", &packed{}, o.Data.Raw)
		out.Template.Values = l.out
	}
	out.Template.Values = append(out.Template.Values, m.annotations(o.Annotations, nil)...)
	return out
}

// PodOf is the pod that a workload would make, of which it is not known whether it runs.
func PodOf(w *snapshot.Workload) snapshot.Pod {
	return snapshot.Pod{
		Meta:     snapshot.Meta{Namespace: w.Namespace, Name: w.Name, Annotations: w.TemplateAnnotations, Place: w.Place},
		Template: w.Template, Workload: snapshot.Ref{Group: w.Group, Kind: w.Kind, Namespace: w.Namespace, Name: w.Name},
	}
}

func containers(spec *corev1.PodSpec) []snapshot.Container {
	out := make([]snapshot.Container, 0, len(spec.InitContainers)+len(spec.Containers)+len(spec.EphemeralContainers))
	each(spec, func(c *corev1.Container, kind string) {
		out = append(out, snapshot.Container{Name: c.Name, Kind: kind, Image: c.Image})
	})
	return out
}

// each calls f with every container, init ones first.
func each(spec *corev1.PodSpec, f func(c *corev1.Container, kind string)) {
	for i := range spec.InitContainers {
		c, kind := &spec.InitContainers[i], "init"
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			kind = "sidecar"
		}
		f(c, kind)
	}
	for i := range spec.Containers {
		f(&spec.Containers[i], "")
	}
	for i := range spec.EphemeralContainers {
		c := corev1.Container(spec.EphemeralContainers[i].EphemeralContainerCommon)
		f(&c, "ephemeral")
	}
}

// injected begins the name of the volume with a token that Kubernetes adds itself, for so
// many seconds. One of that name that lives longer is somebody else's.
const (
	injected        = "kube-api-access-"
	injectedSeconds = 3607
)

func tokens(spec *corev1.PodSpec) []snapshot.Token {
	var out []snapshot.Token
	for i := range spec.Volumes {
		v := &spec.Volumes[i]
		if v.Projected == nil {
			continue
		}
		for j := range v.Projected.Sources {
			t := v.Projected.Sources[j].ServiceAccountToken
			if t == nil {
				continue
			}
			seconds := int64(3600) // Kubernetes' default
			if t.ExpirationSeconds != nil {
				seconds = *t.ExpirationSeconds
			}
			if strings.HasPrefix(v.Name, injected) && seconds <= injectedSeconds {
				continue
			}
			out = append(out, snapshot.Token{Audience: t.Audience, Seconds: seconds})
		}
	}
	return out
}

// reaching are paths of a node from which one gets at other pods and their Secrets.
var reaching = []string{"/", "/var", "/var/lib", "/var/lib/kubelet", "/var/run", "/run", "/etc", "/etc/kubernetes", "/proc", "/root", "/var/lib/etcd", "/run/containerd", "/var/run/containerd",
	"/var/lib/docker", "/var/lib/containerd", "/run/crio", "/var/run/crio", "/var/run/docker.sock", "/run/docker.sock"}

// Lowered is the ServiceAccount that a controller of Flux is told to act as where the
// object that it acts for names none; "" for its own.
func Lowered(spec *corev1.PodSpec) string {
	out := ""
	each(spec, func(c *corev1.Container, _ string) {
		words := slices.Concat(c.Command, c.Args)
		for i, w := range words {
			name, value, ok := strings.Cut(strings.TrimLeft(w, "-"), "=")
			if name != "default-service-account" || !strings.HasPrefix(w, "-") {
				continue
			}
			if !ok && i+1 < len(words) {
				value = words[i+1]
			}
			out = value
		}
	})
	return out
}

// Privileged reports whether what runs in a pod of spec gets at the other pods of its
// node, and their Secrets.
func Privileged(spec *corev1.PodSpec) bool {
	found := spec.HostPID || slices.ContainsFunc(spec.Volumes, func(v corev1.Volume) bool { return v.HostPath != nil && reaches(v.HostPath.Path) })
	each(spec, func(c *corev1.Container, _ string) { found = found || mighty(c.SecurityContext) })
	return found
}

func reaches(path string) bool {
	clean := strings.TrimRight(path, "/")
	return clean == "" || slices.Contains(reaching, clean) || strings.HasPrefix(clean, "/var/lib/kubelet/") || strings.HasPrefix(clean, "/run/containerd/")
}

// breaking are the capabilities of Linux by which one gets out of a container.
// SYS_PTRACE is not among them: it takes the node's processes, which HostPID gives.
var breaking = []corev1.Capability{"ALL", "SYS_ADMIN", "SYS_MODULE", "SYS_RAWIO", "DAC_READ_SEARCH"}

// mighty reports whether a container may do to its node what it likes.
func mighty(s *corev1.SecurityContext) bool {
	if s == nil {
		return false
	}
	return is(s.Privileged) || s.Capabilities != nil && slices.ContainsFunc(s.Capabilities.Add, func(added corev1.Capability) bool {
		return slices.Contains(breaking, corev1.Capability(strings.TrimPrefix(string(added), "CAP_")))
	})
}

// replicas that o asks for; 0 of what asks for none, such as a CronJob.
func replicas(o metav1.Object) int32 {
	or1 := func(n *int32) int32 {
		if n == nil {
			return 1
		}
		return *n
	}
	switch o := o.(type) {
	case *appsv1.Deployment:
		return or1(o.Spec.Replicas)
	case *appsv1.StatefulSet:
		return or1(o.Spec.Replicas)
	case *appsv1.ReplicaSet:
		return or1(o.Spec.Replicas)
	case *corev1.ReplicationController:
		return or1(o.Spec.Replicas)
	case *appsv1.DaemonSet:
		return o.Status.DesiredNumberScheduled
	case *batchv1.Job:
		return or1(o.Spec.Parallelism)
	case *unstructured.Unstructured:
		n, found, err := unstructured.NestedInt64(o.Object, "spec", "replicas")
		if found && err == nil {
			return int32(n)
		}
		return 1
	}
	return 0
}
