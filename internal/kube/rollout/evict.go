package rollout

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// judgeMarked looks at a workload with method Evict: its template is not
// written. Its pods are told apart by marks.
func (p *pass) judgeMarked(ctx context.Context, c access, v *view) {
	w := v.live
	if !w.marked().Has(v.wanted) {
		if w.paused != "" {
			v.is(Paused, w.paused)
			return
		}
		v.candidate = true
		v.queues("waits for its turn")
		return
	}
	all, err := pods(ctx, c.live, w)
	if err != nil {
		v.failed("listing the pods of", err)
		return
	}
	old, done := p.stampNew(ctx, c, v, all)
	switch {
	case !done:
	case p.late(v) && len(old) > 0:
		v.is(Failed, fmt.Sprintf("not done after %v: %d old pods are left", p.q.Deadline, len(old)))
	default:
		p.evict(ctx, c, v, tally(all, old))
	}
}

// stampNew stamps the pods that were created since, which is where proof is
// looked for, and returns the others. Without done v says why not.
func (p *pass) stampNew(ctx context.Context, c access, v *view, all []pod) (old []pod, done bool) {
	for _, pod := range all {
		stamped := pod.stamp.Has(v.wanted)
		if !stamped && v.older(pod) {
			old = append(old, pod)
			continue
		}
		if !stamped && !p.looking {
			if err := annotate(ctx, c, pod, AnnotationStamp, pod.stamp.with(v.wanted)); client.IgnoreNotFound(err) != nil {
				v.failed("stamping pods of", err)
				return nil, false
			}
		}
		if pod.broken != "" && !pod.deleting {
			crashed := "pod " + pod.name + ": " + pod.broken
			v.is(Failed, crashed+"; see: "+logs(v, crashed))
			return nil, false
		}
	}
	return old, true
}

// unknown stands in AnnotationBefore for content that is not known. What the
// object held before may be known, but not whether this pod started with that.
const unknown = "unknown"

// older reports whether something says that pod was there before what is wanted:
// a mark, or a stamp of its own. One that it has from the template says nothing,
// since newer pods have it too.
func (v *view) older(pod pod) bool {
	inherited := v.live.stamp()
	for entry, digest := range v.wanted {
		if has := pod.stamp[entry]; has != digest && (pod.before[entry] != "" || has != "" && has != inherited[entry]) {
			return true
		}
	}
	return false
}

// mark marks the pods that exist, and then the workload. A crash between leaves
// pods marked and the workload not: it is done again, and newer pods are marked
// too, which costs a restart and no truth.
func (p *pass) mark(ctx context.Context, c access, v *view) error {
	all, err := pods(ctx, c.live, v.live)
	if err != nil {
		return err
	}
	for _, pod := range all {
		if pod.stamp.Has(v.wanted) || v.older(pod) {
			continue
		}
		before := Stamp{}
		for entry := range v.wanted {
			before[entry] = unknown
		}
		if err := annotate(ctx, c, pod, AnnotationBefore, before.with(pod.before)); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	f := v.live.fields()
	f.marked = p.used(v.live, f.marked).with(v.wanted)
	f.record = p.used(v.live, f.record).with(v.wanted)
	return apply(ctx, c, v.live, f)
}

// annotate writes a stamp as an annotation of a pod.
func annotate(ctx context.Context, c access, to pod, name string, s Stamp) error {
	o := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: to.namespace, Name: to.name}}
	patch := fmt.Sprintf(`{"metadata":{"uid":%q,"annotations":{%q:%q}}}`, to.uid, name, s.String())
	return c.Patch(ctx, o, client.RawPatch("application/merge-patch+json", []byte(patch)), client.FieldOwner(FieldManager))
}

// crowd is the pods of a workload, counted: ready, going, and those that are to
// be evicted, of which next is the first: one that is not ready, if there is.
type crowd struct {
	well, going int64
	old         int
	next        *pod
}

// complete reports whether no old pod is left; of a workload that is evicted also
// whether those that came are ready, since the status of who makes them comes late.
func (c crowd) complete(w *workload) bool {
	return c.old == 0 && (!w.evicted || c.going == 0 && c.well >= w.wanted)
}

func tally(all, old []pod) crowd {
	c := crowd{old: len(old)}
	for _, pod := range all {
		if pod.deleting {
			c.going++
		} else if pod.ready {
			c.well++
		}
	}
	for i := range old {
		if pod := &old[i]; !pod.deleting && (c.next == nil || !pod.ready && c.next.ready) {
			c.next = pod
		}
	}
	return c
}

// evict evicts one old pod, if every other is well.
func (p *pass) evict(ctx context.Context, c access, v *view, n crowd) {
	w := v.live
	switch {
	case n.next == nil && n.going == 0 && n.well >= w.wanted:
		v.is(Done, "")
	case n.next == nil || n.going > 0:
		v.is(Rolling, fmt.Sprintf("%d of %d pods ready, %d going, %d old", n.well, w.wanted, n.going, n.old))
	case n.next.ready && n.well < w.wanted:
		v.is(Rolling, fmt.Sprintf("waits for its pods: %d of %d ready, %d old", n.well, w.wanted, n.old))
	default:
		v.is(Rolling, fmt.Sprintf("%d of %d pods are old, %s is evicted", n.old, w.wanted, n.next.name))
		p.evictPod(ctx, c, v, *n.next)
	}
}

// evictPod asks for one pod's eviction, which a PodDisruptionBudget may refuse.
func (p *pass) evictPod(ctx context.Context, c access, v *view, pod pod) {
	if p.looking {
		return
	}
	o := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: v.Namespace, Name: pod.name}}
	ask := &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: v.Namespace, Name: pod.name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &pod.uid}},
	}
	err := c.SubResource("eviction").Create(ctx, o, ask)
	switch {
	case err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err): // gone, or another pod by now
	case apierrors.IsTooManyRequests(err):
		v.is(Waiting, "pod "+pod.name+" may not be evicted now: "+p.budgets(ctx, c, v))
	default:
		v.failed("evicting a pod of", err)
	}
}

// unstick evicts a broken pod of an older template that keeps a StatefulSet from
// going on: its controller waits for the pod, for ever.
func (p *pass) unstick(ctx context.Context, c access, v *view, old []pod) {
	if !v.live.ordered || v.live.kind.Kind != "StatefulSet" || !v.live.observed {
		return
	}
	for _, pod := range old {
		if pod.broken != "" && !pod.deleting {
			p.evictPod(ctx, c, v, pod)
			return
		}
	}
}

// budgets names the PodDisruptionBudgets of v that allow no disruption now, for a
// message; "" when there is none.
func (p *pass) budgets(ctx context.Context, c access, v *view) string {
	var list policyv1.PodDisruptionBudgetList
	if err := c.live.List(ctx, &list, client.InNamespace(v.Namespace)); err != nil {
		v.err = errs.Newf(errs.Unavailable, "listing PodDisruptionBudgets of namespace %s: %w", v.Namespace, err)
		return "its PodDisruptionBudgets cannot be read: " + err.Error()
	}
	for i := range list.Items {
		b := &list.Items[i]
		if b.Spec.Selector != nil && b.Status.DisruptionsAllowed <= 0 && selects(b.Spec.Selector).Matches(labels.Set(v.live.template.Labels)) {
			return fmt.Sprintf("PodDisruptionBudget %s allows no disruption (%d of %d pods healthy, %d needed)",
				b.Name, b.Status.CurrentHealthy, b.Status.ExpectedPods, b.Status.DesiredHealthy)
		}
	}
	return ""
}

// blocked reports whether a PodDisruptionBudget keeps v from being restarted by
// its template. Its controller would not ask: so we do, where old pods go before
// new ones come. What is amid a rollout already is not kept there.
func (p *pass) blocked(ctx context.Context, c access, v *view) bool {
	if w := v.live; p.q.Method == v1alpha1.RolloutEvict || w.surges || w.evicted || w.midway() || w.wanted == 0 || w.kind.Kind == "CronJob" {
		return false
	}
	if why := p.budgets(ctx, c, v); why != "" {
		v.is(Waiting, why)
		return true
	}
	return false
}
