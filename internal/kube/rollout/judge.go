package rollout

import (
	"context"
	"fmt"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
)

// unread says what it means that the object of v could not be read.
func (v *view) unread(err error) {
	v.candidate = false
	switch {
	case apierrors.IsNotFound(err):
		v.is(Skipped, "is gone")
	case errs.KindOf(err) == errs.Unsupported:
		v.is(Waiting, "cannot be restarted from here: "+err.Error()+"; restart it as its own tool does")
	default:
		v.failed("reading", err)
	}
}

// owner looks at what has pods by a template.
func (p *pass) owner(ctx context.Context, c access, v *view) {
	w, err := read(ctx, c, v.Object)
	if errs.KindOf(err) == errs.Unsupported {
		if p.foreign(v); v.State == Done {
			return
		}
	}
	if err != nil {
		v.unread(err)
		return
	}
	v.live = w
	p.judge(ctx, c, v)
}

// judge says how far v is, by what its live object says and, where that is not
// enough, by its pods. It writes only what moves a rollout on that has begun.
func (p *pass) judge(ctx context.Context, c access, v *view) {
	w := v.live
	v.Since = w.written()
	switch {
	case w.kind.Kind == "CronJob":
		p.cronJob(v)
	case p.q.Method == v1alpha1.RolloutEvict && !w.stamp().Has(v.wanted):
		p.judgeMarked(ctx, c, v)
	case !w.stamp().Has(v.wanted):
		if w.paused != "" {
			v.is(Paused, w.paused)
			return
		}
		v.candidate = true
		v.queues("waits for its turn")
	default:
		p.judgeStamped(ctx, c, v)
	}
}

// judgeStamped looks at a workload whose template has what is wanted.
func (p *pass) judgeStamped(ctx context.Context, c access, v *view) {
	w := v.live
	all, err := pods(ctx, c.live, w)
	if err != nil {
		v.failed("listing the pods of", err)
		return
	}
	old, crashed := divide(all, v.wanted)
	n := tally(all, old)
	switch {
	case w.complete() && n.complete(w):
		v.is(Done, "")
	case crashed != "":
		v.is(Failed, crashed+"; see: "+logs(v, crashed))
	case w.failed != "" && w.observed:
		v.is(Failed, w.failed)
	case w.paused != "":
		v.is(Paused, w.paused)
	case p.late(v):
		v.is(Failed, fmt.Sprintf("not done after %v: %s; see: %s", p.q.Deadline, far(w, old), status(v)))
	case w.evicted:
		p.evict(ctx, c, v, n)
	default:
		v.is(Rolling, far(w, old))
		p.unstick(ctx, c, v, old)
	}
}

// divide returns the pods that are not stamped with what is wanted, and what one
// of the others crashes with.
func divide(all []pod, wanted Stamp) (old []pod, crashed string) {
	for _, pod := range all {
		switch {
		case !pod.stamp.Has(wanted):
			old = append(old, pod)
		case pod.broken != "" && !pod.deleting:
			crashed = "pod " + pod.name + ": " + pod.broken
		}
	}
	return old, crashed
}

func far(w *workload, old []pod) string {
	if !w.observed {
		return "its controller has not seen the change yet"
	}
	s := fmt.Sprintf("%d of %d pods updated, %d available", w.updated, w.wanted, w.available)
	if w.settling != "" {
		s += ", " + w.settling
	}
	if len(old) > 0 {
		names := make([]string, 0, 3)
		for _, pod := range old[:min(len(old), cap(names))] {
			names = append(names, pod.name)
		}
		s += fmt.Sprintf(", %d old: %s", len(old), strings.Join(names, ", "))
		if len(old) > len(names) {
			s += ", …"
		}
	}
	return s
}

func logs(v *view, crashed string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(crashed, "pod "), ":")
	return fmt.Sprintf("kubectl -n %s logs %s --all-containers --previous", v.Namespace, name)
}

func status(v *view) string {
	return fmt.Sprintf("kubectl -n %s describe %s %s", v.Namespace, strings.ToLower(v.Kind.Kind), v.Name)
}

// cronJob stamps the template of the Jobs to come, which restarts nothing, and
// waits for those that run.
func (p *pass) cronJob(v *view) {
	switch {
	case p.q.Method == v1alpha1.RolloutTemplate && !v.live.stamp().Has(v.wanted):
		v.candidate = true
		v.is(Waiting, "its next Job gets it")
	default:
		p.foreign(v)
	}
}

// foreign looks at the pods, as the caller knows them, of a workload that is not
// restarted by us.
func (p *pass) foreign(v *view) {
	for i := range p.q.Pods {
		pod := &p.q.Pods[i]
		if pod.Workload == v.Object && !ParseStamp(pod.Stamp).Has(v.wanted) {
			v.is(Waiting, "pod "+pod.Name+" still runs with the old content")
			return
		}
	}
	v.is(Done, "")
}

// barePod looks at a pod that nothing makes anew.
func (p *pass) barePod(ctx context.Context, c access, v *view) {
	var pod corev1.Pod
	if err := c.live.Get(ctx, v.NamespacedName, &pod); err != nil {
		v.unread(err)
		return
	}
	switch {
	case pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed || ParseStamp(pod.Annotations[AnnotationStamp]).Has(v.wanted):
		v.is(Done, "")
	default:
		v.is(Waiting, fmt.Sprintf("nothing makes this pod anew: delete it and create it again with the annotation %s: %s", AnnotationStamp, v.wanted))
	}
}

// job waits for a Job that runs: to restart it would be to do its work twice.
func (p *pass) job(ctx context.Context, c access, v *view) {
	var j batchv1.Job
	if err := c.live.Get(ctx, v.NamespacedName, &j); err != nil {
		v.unread(err)
		return
	}
	if j.Status.Active == 0 || ParseStamp(j.Spec.Template.Annotations[AnnotationStamp]).Has(v.wanted) {
		v.is(Done, "")
		return
	}
	v.is(Waiting, fmt.Sprintf("%d of its pods run: a Job is waited for, not restarted", j.Status.Active))
}
