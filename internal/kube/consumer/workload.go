package consumer

import (
	"encoding/json"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

func apps(kind string) schema.GroupVersionKind  { return appsv1.SchemeGroupVersion.WithKind(kind) }
func batch(kind string) schema.GroupVersionKind { return batchv1.SchemeGroupVersion.WithKind(kind) }

// KindRollout is what Argo Rollouts puts in the place of a Deployment.
func KindRollout() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: "argoproj.io", Version: "v1alpha1", Kind: "Rollout"}
}

// WorkloadOf returns the workload that o is, and its pod template; the template
// is nil where there is none. ok is false for an object that owns no pods in a
// way that is known here. What it returns shares nothing with o but the template.
func WorkloadOf(o metav1.Object) (w Workload, template *corev1.PodTemplateSpec, ok bool) {
	switch o := o.(type) {
	case *appsv1.Deployment:
		w, template = rolls(apps("Deployment")), &o.Spec.Template
		w.Paused = o.Spec.Paused
	case *appsv1.StatefulSet:
		w, template = statefulSet(o), &o.Spec.Template
	case *appsv1.DaemonSet:
		w, template = rolls(apps("DaemonSet")), &o.Spec.Template
		if o.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType {
			w = evicts(apps("DaemonSet"), onDelete)
		}
	case *appsv1.ReplicaSet:
		w, template = evicts(apps("ReplicaSet"), "a ReplicaSet changes none of its pods: they are evicted and made anew"), &o.Spec.Template
	case *batchv1.Job:
		w, template = manner(batch("Job"), MannerWait, "a Job's pods run to their end and are waited for"), &o.Spec.Template
	case *batchv1.CronJob:
		w, template = manner(batch("CronJob"), MannerNext, "the next run of a CronJob gets it"), &o.Spec.JobTemplate.Spec.Template
	case *unstructured.Unstructured:
		w, template = custom(o)
	default:
		return Workload{}, nil, false
	}
	w.describe(o, template)
	return w, template, true
}

// describe fills in what all workloads have. template may be nil.
func (w *Workload) describe(o metav1.Object, template *corev1.PodTemplateSpec) {
	w.NamespacedName, w.UID = nameOf(o.GetNamespace(), o.GetName()), o.GetUID()
	if c := metav1.GetControllerOfNoCopy(o); c != nil {
		w.Owner = OwnerOf(o.GetNamespace(), c)
	}
	w.Reload, w.Marked = o.GetAnnotations()[annotationReload], o.GetAnnotations()[annotationMarked]
	if template == nil {
		return
	}
	w.Uses, w.Stamp = Uses(&template.Spec), template.Annotations[annotationStamp]
	if w.Reload == "" {
		w.Reload = template.Annotations[annotationReload]
	}
}

// BarePod returns the workload that a pod without an owner is.
func BarePod(p *Pod) Workload {
	w := manner(corev1.SchemeGroupVersion.WithKind("Pod"), MannerPerson, "nobody makes a bare pod anew: delete and create it")
	w.NamespacedName, w.UID, w.Uses, w.Stamp = p.NamespacedName, p.UID, p.Uses, p.Stamp
	w.Reload = p.Annotations[annotationReload]
	return w
}

// Unseen returns the workload of pods whose owner cannot be read.
func Unseen(o Object) Workload {
	w := evicts(o.Kind, "its "+o.Kind.Kind+" cannot be read: its pods are evicted and made anew by whoever makes them")
	w.Object = o
	return w
}

// OwnerOf returns the object that ref, found in namespace, names.
func OwnerOf(namespace string, ref *metav1.OwnerReference) Object {
	return Object{Kind: schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind), NamespacedName: nameOf(namespace, ref.Name)}
}

const onDelete = "updateStrategy OnDelete: its pods are evicted and made anew"

func manner(kind schema.GroupVersionKind, m Manner, why string) Workload {
	return Workload{Object: Object{Kind: kind}, Manner: m, Why: why}
}

func rolls(kind schema.GroupVersionKind) Workload {
	w := manner(kind, MannerTemplate, "")
	w.Rolls = true
	return w
}

func evicts(kind schema.GroupVersionKind, why string) Workload { return manner(kind, MannerEvict, why) }

// statefulSet: pods below a partition are made anew from the old template, but
// with what the Secret holds then.
func statefulSet(o *appsv1.StatefulSet) Workload {
	s := o.Spec.UpdateStrategy
	if s.Type == appsv1.OnDeleteStatefulSetStrategyType {
		return evicts(apps("StatefulSet"), onDelete)
	}
	if r := s.RollingUpdate; r != nil && r.Partition != nil && *r.Partition > 0 {
		return evicts(apps("StatefulSet"), fmt.Sprintf(
			"updateStrategy.rollingUpdate.partition is %d: pods below it keep the old template, and are evicted and made anew", *r.Partition))
	}
	return rolls(apps("StatefulSet"))
}

// custom reads an object of a kind that is not Kubernetes' own. Where it has
// spec.template in the usual shape, that is its pod template.
func custom(o *unstructured.Unstructured) (Workload, *corev1.PodTemplateSpec) {
	kind := o.GroupVersionKind()
	template := templateOf(o)
	if kind.GroupKind() != KindRollout().GroupKind() {
		return evicts(kind, "the operator of "+kind.Kind+" makes its pods: they are evicted, and it makes them anew"), template
	}
	w := rolls(kind)
	w.Paused, _, _ = unstructured.NestedBool(o.Object, "spec", "paused")
	if template == nil {
		w = evicts(kind, "its pod template is elsewhere: its pods are evicted and made anew")
	}
	return w, template
}

func templateOf(o *unstructured.Unstructured) *corev1.PodTemplateSpec {
	raw, found, err := unstructured.NestedFieldNoCopy(o.Object, "spec", "template")
	if !found || err != nil {
		return nil
	}
	encoded, err := json.Marshal(raw)
	if err != nil {
		return nil
	}
	template := &corev1.PodTemplateSpec{}
	if json.Unmarshal(encoded, template) != nil || len(template.Spec.Containers) == 0 {
		return nil
	}
	return template
}

// WorkloadRef returns the Deployment that has the pod template of a Rollout, or
// a zero Object.
func WorkloadRef(o *unstructured.Unstructured) Object {
	kind, _, _ := unstructured.NestedString(o.Object, "spec", "workloadRef", "kind")
	name, _, _ := unstructured.NestedString(o.Object, "spec", "workloadRef", "name")
	if o.GroupVersionKind().GroupKind() != KindRollout().GroupKind() || !strings.EqualFold(kind, "Deployment") || name == "" {
		return Object{}
	}
	return Object{Kind: apps("Deployment"), NamespacedName: nameOf(o.GetNamespace(), name)}
}
