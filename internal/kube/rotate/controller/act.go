package controller

import (
	"context"
	"time"

	"github.com/strongkeep/strongkeep/internal/errs"
	"github.com/strongkeep/strongkeep/internal/kube/rotate"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// actTime bounds one act. A process that was stopped and goes on finds it over.
const actTime = time.Minute

// act does what the status has announced, once.
func (r *Reconciler) act(ctx context.Context, l *look, step rotate.Step) result {
	ctx, cancel := context.WithTimeout(ctx, actTime)
	defer cancel()
	number := l.rot.Status.Turn
	out := result{Outcome: rotate.Outcome{Act: step.Act, Number: number, Last: r.Clock.Now()}}
	if former := l.mem.result.Outcome; former.Act == step.Act && former.Number == number {
		out.Tries = former.Tries
	}
	out.Tries++
	err := r.perform(ctx, l, step.Act, &out)
	out.Done = err == nil
	if err != nil {
		out.Failed, out.Waits = err.Error(), target.IsPending(err)
		out.Again = !out.Waits && again(err)
	}
	r.Log.Info("acted", "rotation", l.name(), "turn", number, "act", string(step.Act), "tries", out.Tries, "error", err)
	return out
}

func (r *Reconciler) perform(ctx context.Context, l *look, act rotate.Act, out *result) error { //nolint:cyclop // flat: a line for each act
	t := target.Turn{Number: l.rot.Status.Turn, Rotation: l.name(), Fence: l.rot.Status.Fence}
	if l.target == nil {
		return errs.New(errs.Unavailable, "the credential of the turn could not be opened: see the condition Observed")
	}
	switch act {
	case rotate.ActStage:
		if a, ok := l.target.(target.Adopter); ok {
			if err := a.Adopt(ctx, t); err != nil {
				return err
			}
		}
		_, err := l.target.Stage(ctx, t)
		return err
	case rotate.ActPublish:
		return r.publish(ctx, l, t, target.New, out)
	case rotate.ActRestore:
		return r.publish(ctx, l, t, target.Old, out)
	case rotate.ActRoll, rotate.ActUnroll:
		if l.graph == nil {
			return errs.New(errs.Unavailable, "the consumers could not be found")
		}
		_, err := r.Roller.Roll(ctx, r.restart(l))
		return err
	case rotate.ActClose:
		return l.target.Close(ctx, t)
	case rotate.ActReopen:
		return l.target.Reopen(ctx, t)
	case rotate.ActRetire:
		return r.retire(ctx, l, t, target.Old)
	case rotate.ActDiscard:
		return r.retire(ctx, l, t, target.New)
	case rotate.ActRecord:
		if l.rot.Status.First && l.rot.Status.Back == "" { // there is nothing to remove, but the target's turn ends so
			if err := l.target.Retire(ctx, t, target.Old); err != nil {
				return err
			}
		}
		return r.record(ctx, l, out)
	}
	return errs.Newf(errs.Internal, "there is no act %q", act)
}

// retire passes on, to a target that cannot know it, that a person says that the
// credential is removed.
func (r *Reconciler) retire(ctx context.Context, l *look, t target.Turn, side target.Side) error {
	if c, ok := l.target.(target.Confirmable); ok && l.o.Asks.RetireConfirmed {
		if err := c.Confirm(ctx, t, side); err != nil {
			return err
		}
	}
	return l.target.Retire(ctx, t, side)
}

func (r *Reconciler) publish(ctx context.Context, l *look, t target.Turn, side target.Side, out *result) error {
	state, err := l.target.Publish(ctx, t, side)
	if err != nil {
		return err
	}
	out.state = &state
	r.refresh(l)
	return nil
}
