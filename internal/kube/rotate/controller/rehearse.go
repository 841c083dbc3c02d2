package controller

import (
	"context"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// Rehearsal is what a Rehearser decides by.
type Rehearsal struct {
	Rotation *v1alpha1.Rotation // read live; without a turn under way
	Target   target.Target      // nil: Observed says why
	Observed rotate.Observed
	// Foresee looks, live, as if turn number were staged. Proof.Clients are then those
	// who would have to read the vault again.
	Foresee func(ctx context.Context, number int64) (rotate.Observed, Restart)
}

// Trial is what is to be done for a rehearsal.
type Trial struct {
	Busy   bool                      // no turn may begin now
	Status *v1alpha1.RehearsalStatus // to be written; nil: it stays as it is
	Act    func(context.Context)     // to be done once that is written, within a minute
	After  time.Duration             // when to ask again
}

// Rehearser tries what a turn would do. Next must be cheap where nothing is asked for.
type Rehearser interface {
	Next(ctx context.Context, q Rehearsal) Trial
	// Sweep removes what a rehearsal has left. opened may be nil.
	Sweep(ctx context.Context, rot *v1alpha1.Rotation, opened target.Target) error
}

// rehearse lets the Rehearser have its turn while none of ours is under way. Like
// an act, what it does is done behind a write with the resourceVersion that was read.
func (r *Reconciler) rehearse(ctx context.Context, l *look) (busy bool, _ ctrl.Result, _ error) {
	if underWay(l.o.Turn.Phase) || l.o.Turn.Phase == v1alpha1.PhaseDone {
		return false, ctrl.Result{}, nil
	}
	trial := r.Rehearser.Next(ctx, Rehearsal{l.rot, l.target, l.o, func(ctx context.Context, number int64) (rotate.Observed, Restart) {
		as := &look{rot: l.rot, mem: &memory{}, o: l.o, live: true, vault: l.vault, target: l.target, state: l.state, location: l.location}
		as.o.Turn = rotate.Turn{Number: number, Phase: v1alpha1.PhaseStaged, NoOld: l.state.Version == ""}
		r.seeConsumers(ctx, as)
		as.o.Proof.Clients = as.readers
		if as.graph == nil {
			return as.o, Restart{}
		}
		return as.o, r.restart(as)
	}})
	if trial.Status != nil || trial.Act != nil {
		next := l.rot.Status.DeepCopy()
		if trial.Status != nil {
			next.Rehearsal = trial.Status
		}
		if next.Rehearsal.Verdict == v1alpha1.TrialRunning && controllerutil.AddFinalizer(l.rot, Finalizer) {
			if err := r.patchFinalizers(ctx, l.rot); err != nil {
				return true, ctrl.Result{}, err
			}
		}
		if err := r.write(ctx, l.rot, next); err != nil {
			return true, ctrl.Result{}, err
		}
	}
	if trial.Act != nil {
		ctx, cancel := context.WithTimeout(ctx, actTime)
		defer cancel()
		trial.Act(ctx)
	}
	return trial.Busy, ctrl.Result{RequeueAfter: max(trial.After, now)}, nil
}
