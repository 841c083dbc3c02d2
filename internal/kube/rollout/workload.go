package rollout

import (
	"context"
	"fmt"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
)

// workload is what owns pods, as the API server has it now.
type workload struct {
	metav1.ObjectMeta
	kind     schema.GroupVersionKind
	template corev1.PodTemplateSpec
	selector labels.Selector
	// observed is whether its controller has seen the present generation.
	observed bool
	counts
	// paused says why it is not to be touched; failed why its controller gave up.
	paused, failed string
	// evicted: a changed template restarts nothing: pods are evicted.
	evicted bool
	// surges: new pods are there before old ones go.
	surges bool
	// ordered: a broken pod keeps the controller from replacing it.
	ordered bool
	// settling says what its controller still does when the counts look complete;
	// empty for nothing.
	settling string
}

// counts are numbers of pods: wanted, those there are, and of these how many
// are of the newest template, ready, and available.
type counts struct{ wanted, present, updated, ready, available int64 }

func (c counts) complete() bool {
	return c.updated == c.wanted && c.present == c.wanted && c.ready == c.wanted && c.available == c.wanted
}

// midway reports whether pods of more than one template exist.
func (w *workload) midway() bool { return !w.observed || w.updated < w.wanted || w.present > w.updated }

func (w *workload) complete() bool { return w.observed && w.counts.complete() && w.settling == "" }

// stamp is that of the pod template; record is what its pods were last
// restarted for, kept where no tool that resets templates resets it.
func (w *workload) stamp() Stamp  { return ParseStamp(w.template.Annotations[AnnotationStamp]) }
func (w *workload) record() Stamp { return ParseStamp(w.Annotations[AnnotationStamp]) }
func (w *workload) marked() Stamp { return ParseStamp(w.Annotations[AnnotationMarked]) }

// written returns when our fields were last changed; zero when there are none.
func (w *workload) written() time.Time {
	for _, f := range w.ManagedFields {
		if f.Manager == FieldManager && f.Operation == metav1.ManagedFieldsOperationApply && f.Time != nil {
			return f.Time.Time
		}
	}
	return time.Time{}
}

// read reads what o is now. A kind that cannot be restarted is Unsupported.
func read(ctx context.Context, c access, o consumer.Object) (*workload, error) {
	switch o.Kind.GroupKind() {
	case schema.GroupKind{Group: "apps", Kind: "Deployment"}:
		var d appsv1.Deployment
		err := c.live.Get(ctx, o.NamespacedName, &d)
		return deployment(&d), err
	case schema.GroupKind{Group: "apps", Kind: "StatefulSet"}:
		var s appsv1.StatefulSet
		err := c.live.Get(ctx, o.NamespacedName, &s)
		return statefulSet(&s), err
	case schema.GroupKind{Group: "apps", Kind: "DaemonSet"}:
		var d appsv1.DaemonSet
		err := c.live.Get(ctx, o.NamespacedName, &d)
		return daemonSet(&d), err
	case schema.GroupKind{Group: "apps", Kind: "ReplicaSet"}:
		var s appsv1.ReplicaSet
		err := c.live.Get(ctx, o.NamespacedName, &s)
		return replicaSet(&s), err
	case schema.GroupKind{Group: "batch", Kind: "CronJob"}:
		var j batchv1.CronJob
		err := c.live.Get(ctx, o.NamespacedName, &j)
		return cronJob(&j), err
	case schema.GroupKind{Group: "argoproj.io", Kind: "Rollout"}:
		return readArgo(ctx, c.live, o)
	}
	return nil, errs.Newf(errs.Unsupported, "pods of a %s are made by another controller", o.Kind.Kind)
}

func number(n *int32, otherwise int64) int64 {
	if n == nil {
		return otherwise
	}
	return int64(*n)
}

func selects(s *metav1.LabelSelector) labels.Selector {
	out, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		return labels.Nothing() // the API server admits no such one
	}
	return out
}

func deployment(d *appsv1.Deployment) *workload {
	w := &workload{
		ObjectMeta: d.ObjectMeta, kind: appsv1.SchemeGroupVersion.WithKind("Deployment"),
		template: d.Spec.Template, selector: selects(d.Spec.Selector),
		observed: d.Status.ObservedGeneration >= d.Generation,
		counts: counts{
			number(d.Spec.Replicas, 1), int64(d.Status.Replicas), int64(d.Status.UpdatedReplicas),
			int64(d.Status.ReadyReplicas), int64(d.Status.AvailableReplicas),
		},
	}
	w.surges = d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType && surge(d.Spec.Strategy.RollingUpdate, int(w.wanted))
	if d.Spec.Paused {
		w.paused = "spec.paused is true"
	}
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse && c.Reason == "ProgressDeadlineExceeded" {
			w.failed = "ProgressDeadlineExceeded"
		}
	}
	return w
}

// surge reports whether a new pod is made before an old one goes. The default
// of 25 % is one pod at least, since it is rounded up.
func surge(s *appsv1.RollingUpdateDeployment, replicas int) bool {
	if s == nil || s.MaxSurge == nil {
		return true
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(s.MaxSurge, replicas, true)
	return err == nil && n > 0
}

func statefulSet(s *appsv1.StatefulSet) *workload {
	w := &workload{
		ObjectMeta: s.ObjectMeta, kind: appsv1.SchemeGroupVersion.WithKind("StatefulSet"),
		template: s.Spec.Template, selector: selects(s.Spec.Selector),
		observed: s.Status.ObservedGeneration >= s.Generation,
		counts: counts{
			number(s.Spec.Replicas, 1), int64(s.Status.Replicas), int64(s.Status.UpdatedReplicas),
			int64(s.Status.ReadyReplicas), int64(s.Status.AvailableReplicas),
		},
		evicted: s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType,
		ordered: s.Spec.PodManagementPolicy != appsv1.ParallelPodManagement,
	}
	if u := s.Spec.UpdateStrategy.RollingUpdate; u != nil && u.Partition != nil && *u.Partition > 0 {
		w.paused = fmt.Sprintf("spec.updateStrategy.rollingUpdate.partition is %d: pods below it keep the old template", *u.Partition)
	}
	return w
}

func daemonSet(d *appsv1.DaemonSet) *workload {
	w := &workload{
		ObjectMeta: d.ObjectMeta, kind: appsv1.SchemeGroupVersion.WithKind("DaemonSet"),
		template: d.Spec.Template, selector: selects(d.Spec.Selector),
		observed: d.Status.ObservedGeneration >= d.Generation,
		counts: counts{
			int64(d.Status.DesiredNumberScheduled), int64(d.Status.CurrentNumberScheduled), int64(d.Status.UpdatedNumberScheduled),
			int64(d.Status.NumberReady), int64(d.Status.NumberAvailable),
		},
		evicted: d.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType,
	}
	if u := d.Spec.UpdateStrategy.RollingUpdate; u != nil && u.MaxSurge != nil {
		n, err := intstr.GetScaledValueFromIntOrPercent(u.MaxSurge, 100, true)
		w.surges = err == nil && n > 0
	}
	return w
}

func replicaSet(s *appsv1.ReplicaSet) *workload {
	return &workload{
		ObjectMeta: s.ObjectMeta, kind: appsv1.SchemeGroupVersion.WithKind("ReplicaSet"),
		template: s.Spec.Template, selector: selects(s.Spec.Selector),
		observed: s.Status.ObservedGeneration >= s.Generation,
		counts: counts{
			number(s.Spec.Replicas, 1), int64(s.Status.Replicas), int64(s.Status.Replicas),
			int64(s.Status.ReadyReplicas), int64(s.Status.AvailableReplicas),
		},
		evicted: true,
	}
}

// cronJob has pods by its Jobs only: its next one is made of the template as it is.
func cronJob(j *batchv1.CronJob) *workload {
	return &workload{
		ObjectMeta: j.ObjectMeta, kind: batchv1.SchemeGroupVersion.WithKind("CronJob"),
		template: j.Spec.JobTemplate.Spec.Template, selector: labels.Nothing(), observed: true,
	}
}

// readArgo reads a Rollout of Argo Rollouts, of which we know the few fields below.
func readArgo(ctx context.Context, live client.Reader, o consumer.Object) (*workload, error) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(o.Kind)
	if err := live.Get(ctx, o.NamespacedName, u); err != nil {
		return nil, err
	}
	var r argo
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &r); err != nil {
		return nil, errs.Newf(errs.Unavailable, "reading %s: %w", describe(o), err)
	}
	w := &workload{
		ObjectMeta: r.ObjectMeta, kind: o.Kind, template: r.Spec.Template, selector: selects(r.Spec.Selector),
		observed: r.Status.ObservedGeneration == strconv.FormatInt(r.Generation, 10),
		counts: counts{
			number(r.Spec.Replicas, 1), r.Status.Replicas, r.Status.UpdatedReplicas,
			r.Status.ReadyReplicas, r.Status.AvailableReplicas,
		},
		surges: true,
	}
	if r.Spec.WorkloadRef != nil {
		return nil, errs.Newf(errs.Unsupported, "its template is that of another object, by spec.workloadRef")
	}
	if r.Status.CurrentPodHash != r.Status.StableRS {
		w.settling = "the new version is not the stable one yet"
	}
	switch {
	case r.Spec.Paused:
		w.paused = "spec.paused is true"
	case r.Status.Phase == "Paused":
		w.paused = "it waits at a step of its strategy: " + r.Status.Message
	case r.Status.Phase == "Degraded":
		w.failed = "Degraded: " + r.Status.Message
	}
	return w, nil
}

type argo struct {
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Replicas    *int32                 `json:"replicas"`
		Paused      bool                   `json:"paused"`
		Selector    *metav1.LabelSelector  `json:"selector"`
		Template    corev1.PodTemplateSpec `json:"template"`
		WorkloadRef map[string]any         `json:"workloadRef"`
	} `json:"spec"`
	Status struct {
		ObservedGeneration string `json:"observedGeneration"` // text, by Argo's choice
		Replicas           int64  `json:"replicas"`
		UpdatedReplicas    int64  `json:"updatedReplicas"`
		ReadyReplicas      int64  `json:"readyReplicas"`
		AvailableReplicas  int64  `json:"availableReplicas"`
		Phase              string `json:"phase"`
		Message            string `json:"message"`
		CurrentPodHash     string `json:"currentPodHash"`
		StableRS           string `json:"stableRS"`
	} `json:"status"`
}
