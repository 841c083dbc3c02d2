package controller

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/measure"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/places"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/slot"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/tell"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller/wake"
)

// Finalizer is on a Rotation while a turn is under way, and never else: what is
// not turning can always be deleted at once.
const Finalizer = v1alpha1.Group + "/turning"

// Reconciler reconciles Rotations.
type Reconciler struct {
	Config
	memories memories
	places   places.Places
	slots    *slot.Slots
	woken    *wake.Set
}

// New returns a Reconciler.
func New(cfg Config) *Reconciler {
	cfg = cfg.withDefaults()
	return &Reconciler{Config: cfg, slots: slot.New(cfg.MaxTurns), woken: wake.New()}
}

// now is "look again at once", as controller-runtime has it.
const now = time.Nanosecond

// Reconcile implements reconcile.Reconciler. It does one step.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	rot := &v1alpha1.Rotation{}
	if err := r.Live.Get(ctx, req.NamespacedName, rot); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(req.NamespacedName)
			return ctrl.Result{}, nil
		}
		return ctrl.Result{}, err
	}
	if !rot.DeletionTimestamp.IsZero() {
		return r.finish(ctx, rot)
	}
	result, err := r.step(ctx, rot)
	if apierrors.IsConflict(err) { // somebody wrote it meanwhile: an annotation, or the operator that leads now
		r.Log.Debug("a Rotation changed while it was looked at", "rotation", req.String())
		return ctrl.Result{RequeueAfter: 50 * time.Millisecond}, nil
	}
	if apierrors.IsNotFound(err) {
		return ctrl.Result{RequeueAfter: now}, nil
	}
	return result, err
}

// forget lets go of a Rotation that is gone, wherever it is remembered.
func (r *Reconciler) forget(name types.NamespacedName) {
	r.Metrics.Forget(name)
	r.memories.leave(name)
	r.places.Leave(name)
	r.Roller.Forget(name.String())
}

// step looks, decides, writes the decision and acts.
func (r *Reconciler) step(ctx context.Context, rot *v1alpha1.Rotation) (ctrl.Result, error) {
	l := r.look(ctx, rot, false)
	if l.location != "" && rot.Status.Location != l.location && !bound(l.o.Turn.Phase) {
		// Others must be able to see it before a turn begins.
		next := rot.Status.DeepCopy()
		next.Location = l.location
		return ctrl.Result{RequeueAfter: now}, r.write(ctx, rot, next)
	}
	if busy, result, err := r.rehearse(ctx, l); busy || err != nil {
		return result, err
	}
	step := rotate.Decide(l.o)
	if grave(rot.Status.Phase, step) {
		l = r.look(ctx, rot, true)
		step = rotate.Decide(l.o)
	}
	if step.Phase == v1alpha1.PhaseStaged || !slot.Takes(&v1alpha1.RotationStatus{Phase: step.Phase, PublishedAt: timestamp(l.o.Now)}) {
		defer r.slots.Release(rot.UID)
	}
	if err := r.persist(ctx, l, step); err != nil {
		return ctrl.Result{}, err
	}
	return r.goOn(ctx, l, step)
}

// acting reports whether a step does something now.
func acting(s rotate.Step) bool { return s.Act != rotate.NoAct && !s.Later }

// persist writes a decision: nothing is done before it is written.
func (r *Reconciler) persist(ctx context.Context, l *look, step rotate.Step) error {
	rot := l.rot
	if step.Begin != "" && controllerutil.AddFinalizer(rot, Finalizer) {
		if err := r.patchFinalizers(ctx, rot); err != nil {
			return err
		}
	}
	next := r.nextStatus(l, step)
	if !tell.News(&rot.Status, next) && !acting(step) { // a write before an act shows that nobody wrote since, even if it changes nothing
		return nil
	}
	before := rot.Status.DeepCopy()
	if err := r.write(ctx, rot, next); err != nil {
		return err
	}
	r.announce(l, before, step)
	return nil
}

// goOn does what a step that is written says, and says when to look again.
func (r *Reconciler) goOn(ctx context.Context, l *look, step rotate.Step) (ctrl.Result, error) {
	l.remember(step)
	if r.places.Follow(client.ObjectKeyFromObject(l.rot), l.graph); !underWay(step.Phase) {
		r.places.Leave(client.ObjectKeyFromObject(l.rot))
	}
	if step.Did != "" || l.mem.result.Act != step.Act {
		l.mem.result = result{}
	}
	r.Metrics.See(client.ObjectKeyFromObject(l.rot), sample(l), r.Clock.Now())
	if acting(step) {
		l.mem.result = r.act(ctx, l, step)
		if step.Act == rotate.ActRoll || step.Act == rotate.ActUnroll { // done in rounds
			return ctrl.Result{RequeueAfter: after(l, step)}, nil
		}
		return ctrl.Result{RequeueAfter: now}, nil
	}
	if !underWay(step.Phase) {
		return r.rest(ctx, l, step)
	}
	return ctrl.Result{RequeueAfter: after(l, step)}, nil
}

// remember keeps what was known of consumers when the old credential was closed,
// or on the way back when the new one was about to be removed, for the statement.
func (l *look) remember(step rotate.Step) {
	enters := step.Phase != l.o.Turn.Phase
	closes := enters && step.Phase == v1alpha1.PhaseQuiescing
	back := step.Back == rotate.BackRolled && l.o.Turn.Back != rotate.BackRolled
	late := !l.mem.closing.ends(&l.rot.Status) && (step.Phase == v1alpha1.PhaseDone || step.Back == rotate.BackCleared || enters && step.Phase == v1alpha1.PhaseRetiring)
	if l.proof != nil && (closes || back || late) {
		l.mem.closing = closing{l.rot.Status.Turn, step.Back != rotate.Forward, l.judged, l.graph.Secrets}
	}
}

// grave reports whether a step closes or discards something, or begins to close or
// to remove it. What was announced by an operator that is gone is looked at anew.
func grave(from v1alpha1.Phase, s rotate.Step) bool {
	enters := from != s.Phase && (s.Phase == v1alpha1.PhaseQuiescing || s.Phase == v1alpha1.PhaseRetiring)
	return enters || (s.Act == rotate.ActClose || s.Act == rotate.ActDiscard) && !s.Later
}

// after is when to look again. What changes in the cluster during a turn is
// looked for, and not only heard of.
func after(l *look, step rotate.Step) time.Duration {
	look := map[v1alpha1.Phase]time.Duration{
		v1alpha1.PhaseStaged: 30 * time.Second, v1alpha1.PhaseHeld: 15 * time.Second,
		v1alpha1.PhasePublishing: time.Second, v1alpha1.PhaseRolling: time.Second, v1alpha1.PhaseProving: 2 * time.Second,
		v1alpha1.PhaseQuiescing: 2 * time.Second, v1alpha1.PhaseRollingBack: time.Second,
	}[step.Phase]
	if look == 0 && len(l.o.Blind) > 0 {
		look = 15 * time.Second
	}
	if look == 0 || step.After > 0 && step.After < look {
		look = step.After
	}
	return look
}

// rest ends a turn that is over, and offers what is pending to the vault.
func (r *Reconciler) rest(ctx context.Context, l *look, step rotate.Step) (ctrl.Result, error) {
	if step.Phase != v1alpha1.PhaseDone && controllerutil.RemoveFinalizer(l.rot, Finalizer) {
		if err := r.patchFinalizers(ctx, l.rot); err != nil {
			return ctrl.Result{}, err
		}
	}
	next := after(l, step)
	if len(l.rot.Status.Pending) > 0 && l.vault != nil {
		wait, err := r.offerPending(ctx, l)
		if err != nil {
			return ctrl.Result{}, err
		}
		if next == 0 || wait > 0 && wait < next {
			next = wait
		}
	}
	return ctrl.Result{RequeueAfter: next}, nil
}

// write replaces the status if nobody has written the object since it was read.
func (r *Reconciler) write(ctx context.Context, rot *v1alpha1.Rotation, next *v1alpha1.RotationStatus) error {
	rot.Status = *next
	return r.Client.Status().Update(ctx, rot)
}

// patchFinalizers writes rot's finalizers under the same condition.
func (r *Reconciler) patchFinalizers(ctx context.Context, rot *v1alpha1.Rotation) error {
	base := rot.DeepCopy()
	base.Finalizers = nil
	to := rot.DeepCopy()
	if len(to.Finalizers) == 0 { // a merge patch says so with null
		base.Finalizers = []string{Finalizer}
	}
	if err := r.Client.Patch(ctx, to, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})); err != nil {
		return err
	}
	rot.ResourceVersion, rot.Finalizers = to.ResourceVersion, to.Finalizers
	return nil
}

// sample is what metrics are made of.
func sample(l *look) measure.Sample {
	s := &l.rot.Status
	out := measure.Sample{
		Phase: s.Phase, UnderWay: underWay(s.Phase), Turn: s.Turn, Since: ptr.Deref(s.Since, metav1.Time{}).Time, Changed: l.changed(s), Limit: l.limit,
		Overlap: l.o.Plan.OverlapMax, Proven: s.Proof.PodsProven, Unproven: s.Proof.Pods - s.Proof.PodsProven,
		Pending: len(s.Pending), Refused: l.o.Refused != "", Awaits: tell.Awaits(s),
	}
	if underWay(s.Phase) && origin(l.o.Turn) != v1alpha1.PhaseRetiring && rotate.Back(s.Back) != rotate.BackCleared {
		out.Published = ptr.Deref(s.PublishedAt, metav1.Time{}).Time
	}
	return out
}
