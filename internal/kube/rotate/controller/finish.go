package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// finish ends the turn of a Rotation that is being deleted so that whoever uses
// the credential goes on: what nobody has seen is discarded; what was published
// stays, with the old credential open beside it, since nobody is left to find out
// who still uses which. It gives up after Patience, and at once where only a
// person could help, and says so: a namespace is never kept for a vault that is away.
func (r *Reconciler) finish(ctx context.Context, rot *v1alpha1.Rotation) (ctrl.Result, error) {
	r.Metrics.Forget(client.ObjectKeyFromObject(rot))
	r.slots.Release(rot.UID)
	if !controllerutil.ContainsFinalizer(rot, Finalizer) {
		r.forget(client.ObjectKeyFromObject(rot))
		return ctrl.Result{}, nil
	}
	next := rot.Status.DeepCopy()
	next.Fence++ // as before every act: who was stopped amid one comes late from here on
	if next.EndedAt == nil {
		next.EndedAt = timestamp(r.Clock.Now())
	}
	if err := r.write(ctx, rot, next); err != nil {
		return ctrl.Result{RequeueAfter: 50 * time.Millisecond}, client.IgnoreNotFound(ignoreConflict(err))
	}
	waited := r.Clock.Since(rot.DeletionTimestamp.Time)
	waits := func(err error) bool {
		if err == nil || !again(err) || waited >= r.Patience {
			return false
		}
		r.Log.Info("tidying up a deleted Rotation", "rotation", client.ObjectKeyFromObject(rot).String(), "error", err)
		return true
	}
	tidied, err := r.tidy(ctx, rot)
	if waits(err) {
		return ctrl.Result{RequeueAfter: min(r.Patience-waited, 5*time.Second)}, nil
	}
	eventType, reason := corev1.EventTypeNormal, "TurnEnded"
	message := fmt.Sprintf("deleted in turn %d, phase %s: %s", rot.Status.Turn, rot.Status.Phase, tidied.left)
	if err != nil {
		eventType, reason = corev1.EventTypeWarning, "TurnAbandoned"
		message += fmt.Sprintf("; gave up: %v", err)
		tidied.side = ""
	}
	if err := r.recordLast(ctx, tidied, message); waits(err) {
		return ctrl.Result{RequeueAfter: min(r.Patience-waited, 5*time.Second)}, nil
	} else if err != nil {
		eventType = corev1.EventTypeWarning
		message += fmt.Sprintf("; no statement of it is stored: %v", err)
	}
	r.Log.Warn("a Rotation was deleted amid a turn", "rotation", client.ObjectKeyFromObject(rot).String(), "outcome", message)
	r.Event(rot, eventType, reason, message)
	controllerutil.RemoveFinalizer(rot, Finalizer)
	if err := r.patchFinalizers(ctx, rot); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	r.forget(client.ObjectKeyFromObject(rot))
	return ctrl.Result{}, nil
}

func ignoreConflict(err error) error {
	if apierrors.IsConflict(err) {
		return nil
	}
	return err
}

// tidied is what tidying up has come to.
type tidied struct {
	*look
	left string // what there is after it
	side string // the credential that is removed, old or new; empty: none
}

// tidy does what is left to do, and says what there is after it. It is idempotent.
func (r *Reconciler) tidy(ctx context.Context, rot *v1alpha1.Rotation) (tidied, error) { //nolint:cyclop // flat: a case after the other
	l := &look{rot: rot, mem: r.memories.get(client.ObjectKeyFromObject(rot), rot.UID)}
	l.o.Turn = rotate.TurnOf(&rot.Status)
	out := tidied{look: l, left: "the old and the new credential both stay as they are"}
	phase := origin(l.o.Turn)
	r.openTarget(ctx, l)
	switch {
	case !underWay(phase):
		out.left = "no turn was under way, and what a rehearsal left is removed"
		return out, r.Rehearser.Sweep(ctx, rot, l.target)
	case l.o.Turn.Back == rotate.BackCleared:
		out.left = "the new credential is removed, the old one is in use"
		return out, nil
	}
	if l.target != nil {
		r.seeState(ctx, l)
		if l.bind(); l.target == nil && l.location != "" {
			return out, errs.Newf(errs.Conflict, "%s", few(l.o.Blind))
		}
	}
	if l.target == nil {
		return out, errs.Newf(errs.Unavailable, "opening the credential: %s", few(append(l.o.Blind, l.o.Refused)))
	}
	ctx, cancel := context.WithTimeout(ctx, actTime)
	defer cancel()
	t := l.turn()
	maybePublished := !l.o.Turn.Published.IsZero() || l.o.Turn.Act == rotate.ActPublish
	maybeClosed := !l.o.Turn.Closed.IsZero() || l.o.Turn.Act == rotate.ActClose || l.o.Turn.Act == rotate.ActReopen
	switch {
	case phase == v1alpha1.PhaseRetiring:
		out.left, out.side = "the new credential is in use, the old one is removed", "old"
		return out, l.target.Retire(ctx, t, target.Old)
	case !maybePublished:
		out.left, out.side = "the new credential is discarded, the old one is in use", "new"
		return out, l.target.Retire(ctx, t, target.New)
	}
	out.left = "readers see what was published last; the old and the new credential both work: remove the one that nobody uses when you know"
	if maybeClosed && !l.o.Turn.NoOld {
		return out, l.target.Reopen(ctx, t)
	}
	return out, nil
}

// recordLast stores the statement of the turn that a deletion ends.
func (r *Reconciler) recordLast(ctx context.Context, t tidied, message string) error {
	told := r.told(t.look)
	told.Abandoned, told.Removed = message, t.side
	ctx, cancel := context.WithTimeout(ctx, actTime)
	defer cancel()
	return r.ledger().StoreLast(ctx, t.vault, told)
}
