package rollout

import (
	"context"
	"errors"
	"strings"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
)

// Try says what would come of Roll if each workload of q needed a restart, and
// changes nothing: what would be written is sent as a dry run, so that admission
// has its say. Of its items Done would be restarted, Failed was refused, Waiting
// and Paused would wait for what Message says, Skipped needs no restart. An error
// says what could not be asked: the items concerned are Waiting.
//
// q.Wanted must return what no workload has.
func (r *Roller) Try(ctx context.Context, q Request) (Progress, error) {
	p := r.newPass(q)
	p.looking, p.memos = true, nil
	p.look(ctx)
	for i := range p.views {
		if v := &p.views[i]; v.candidate {
			p.try(ctx, v)
		}
	}
	return p.progress()
}

// try sends what would restart v as a dry run.
func (p *pass) try(ctx context.Context, v *view) {
	c, err := p.cluster(ctx, v.Cluster)
	if err != nil {
		v.failed("reaching", err)
		return
	}
	if p.blocked(ctx, c, v) {
		return
	}
	v.is(Done, "")
	err = p.tryStamp(ctx, c, v)
	if err == nil && (p.q.Method == v1alpha1.RolloutEvict || v.live.evicted) {
		err = p.tryEviction(ctx, c, v)
	}
	switch {
	case err == nil:
	case dryless(err):
		v.is(Done, "admission was not tried: "+err.Error())
	case refused(err):
		v.is(Failed, "its restart is refused: "+err.Error())
	default:
		v.failed("trying to restart", err)
	}
}

// tryStamp applies what Roll would. A conflict is somebody's write meanwhile.
func (p *pass) tryStamp(ctx context.Context, c access, v *view) error {
	var err error
	for range tries {
		w := *v.live
		f := w.fields()
		f.record = p.used(&w, f.record).with(v.wanted)
		if p.q.Method == v1alpha1.RolloutEvict {
			f.marked = p.used(&w, f.marked).with(v.wanted)
		} else {
			f.template = p.used(&w, f.template).with(v.wanted)
		}
		if err = apply(ctx, c, &w, f, client.DryRunAll); !apierrors.IsConflict(err) {
			return err
		}
		fresh, e := read(ctx, c, v.Object)
		if e != nil {
			return e
		}
		v.live = fresh
	}
	return err
}

// tryEviction asks whether one of the pods could be evicted now.
func (p *pass) tryEviction(ctx context.Context, c access, v *view) error {
	all, err := pods(ctx, c.live, v.live)
	if err != nil {
		return err
	}
	next := tally(all, all).next
	if next == nil {
		return nil
	}
	o := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: v.Namespace, Name: next.name}}
	ask := &policyv1.Eviction{
		ObjectMeta:    metav1.ObjectMeta{Namespace: v.Namespace, Name: next.name},
		DeleteOptions: &metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &next.uid}, DryRun: []string{metav1.DryRunAll}},
	}
	err = c.SubResource("eviction").Create(ctx, o, ask)
	switch {
	case err == nil || apierrors.IsNotFound(err) || apierrors.IsConflict(err):
		return nil
	case apierrors.IsTooManyRequests(err):
		v.is(Waiting, "pod "+next.name+" may not be evicted now: "+p.budgets(ctx, c, v))
		return nil
	}
	return err
}

// dryless reports that a webhook takes no dry runs.
func dryless(err error) bool {
	return apierrors.IsBadRequest(err) && strings.Contains(err.Error(), "does not support dry run")
}

// refused reports that the API server, or who has a say in admission, says no. A
// webhook may say so with any code from 400 to 499.
func refused(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return false
	}
	code := status.Status().Code
	return code >= 400 && code < 500 && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) &&
		!apierrors.IsTooManyRequests(err) && !apierrors.IsUnauthorized(err)
}
