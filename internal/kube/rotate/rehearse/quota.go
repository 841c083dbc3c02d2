package rehearse

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
)

// room looks whether the quotas of its namespace leave room for the one pod more
// that a Deployment needs which lets none go before a new one is ready.
func (x *run) room(ctx context.Context, method v1alpha1.RolloutMethod, o consumer.Object) {
	if o.Kind.Kind != "Deployment" || o.Cluster != "" || method == v1alpha1.RolloutEvict {
		return
	}
	var d appsv1.Deployment
	if err := x.Live.Get(ctx, o.NamespacedName, &d); err != nil {
		x.unasked(o, err)
		return
	}
	if !surgesOnly(&d) {
		return
	}
	var quotas corev1.ResourceQuotaList
	if err := x.Live.List(ctx, &quotas, client.InNamespace(o.Namespace)); err != nil {
		x.unasked(o, err)
		return
	}
	needs := demand(&d.Spec.Template.Spec)
	for i := range quotas.Items {
		if lacks := lacking(&quotas.Items[i], needs); lacks != "" {
			x.found.add(describe(o), v1alpha1.TrialEffectFails, "QuotaExceeded", fmt.Sprintf(
				"it needs a pod more while it is restarted, and ResourceQuota %s has no room for that: %s; raise it, or let the Deployment's maxUnavailable be 1",
				quotas.Items[i].Name, lacks))
		}
	}
}

func (x *run) unasked(o consumer.Object, err error) {
	x.found.add(describe(o), v1alpha1.TrialEffectUnknown, "NotObserved", "asking whether there is room for a pod more: "+err.Error())
}

// surgesOnly reports whether d never has a pod less than wanted while it is rolled.
func surgesOnly(d *appsv1.Deployment) bool {
	replicas := int(ptr.Deref(d.Spec.Replicas, 1))
	r := d.Spec.Strategy.RollingUpdate
	if replicas == 0 || d.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType || r == nil || r.MaxUnavailable == nil {
		return false
	}
	n, err := intstr.GetScaledValueFromIntOrPercent(r.MaxUnavailable, replicas, false)
	return err == nil && n == 0
}

// demand is what one pod of spec takes, by the names that quotas have for it.
func demand(spec *corev1.PodSpec) map[corev1.ResourceName]resource.Quantity {
	one := resource.MustParse("1")
	out := map[corev1.ResourceName]resource.Quantity{corev1.ResourcePods: one, "count/pods": one}
	add := func(prefix string, list corev1.ResourceList) {
		for name, q := range list {
			sum := out[corev1.ResourceName(prefix)+name]
			sum.Add(q)
			out[corev1.ResourceName(prefix)+name] = sum
		}
	}
	for i := range spec.Containers {
		add("requests.", spec.Containers[i].Resources.Requests)
		add("limits.", spec.Containers[i].Resources.Limits)
	}
	for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} { // a quota may name requests so too
		if q, ok := out["requests."+name]; ok {
			out[name] = q
		}
	}
	return out
}

// lacking says what q has no room for; "" when there is room. A quota for some
// pods only says nothing of this one.
func lacking(q *corev1.ResourceQuota, needs map[corev1.ResourceName]resource.Quantity) string {
	if len(q.Spec.Scopes) > 0 || q.Spec.ScopeSelector != nil {
		return ""
	}
	var lacks []string
	for _, name := range slices.Sorted(maps.Keys(q.Status.Hard)) {
		need, ok := needs[name]
		if !ok {
			continue
		}
		used, hard := q.Status.Used[name], q.Status.Hard[name]
		sum := used.DeepCopy()
		sum.Add(need)
		if sum.Cmp(hard) > 0 {
			lacks = append(lacks, fmt.Sprintf("%s: %s of %s used, %s more needed", name, used.String(), hard.String(), need.String()))
		}
	}
	return strings.Join(lacks, ", ")
}
