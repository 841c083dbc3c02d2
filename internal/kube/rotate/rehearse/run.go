package rehearse

import (
	"context"

	"github.com/strongkeep/strongkeep/api/v1alpha1"
	"github.com/strongkeep/strongkeep/internal/kube/consumer"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/controller"
	"github.com/strongkeep/strongkeep/internal/kube/rotate/target"
)

// run is one rehearsal of this process. What it has made is known from the
// status too, so that another process can remove it.
type run struct {
	Config
	asked  string
	number int64
	pods   bool

	outcome
	over bool

	acts   map[consumer.Object]*act // nil: there are no shadows
	ending bool                     // what was made is being removed
}

// first does all but waiting for shadow pods.
func (x *run) first(ctx context.Context, q controller.Rehearsal) {
	o, restart := q.Foresee(ctx, x.number)
	x.consumers(o, restart.Graph)
	if restart.Graph != nil {
		x.restarts(ctx, restart)
	}
	if x.pods {
		x.stage(ctx, q, restart.Graph)
		return
	}
	x.credential(ctx, q)
	x.over = true
}

// credential tries the kind's own rehearsal.
func (x *run) credential(ctx context.Context, q controller.Rehearsal) {
	t := x.turn(q)
	m, ok := q.Target.(target.Rehearser)
	if !ok {
		x.found.add("credential", v1alpha1.TrialEffectUnknown, "NotTried", "this kind of credential cannot be tried without a turn")
		return
	}
	lines, err := m.Rehearse(ctx, t)
	x.lines = append(x.lines, lines...)
	if err == nil {
		return
	}
	x.refused("making a new credential", err)
	x.remove(ctx, q)
}

func (x *run) turn(q controller.Rehearsal) target.Turn {
	return target.Turn{Number: x.number, Rotation: nameOf(q.Rotation)}
}

// refused notes that an act of the target's failed.
func (x *outcome) refused(what string, err error) {
	effect, reason := v1alpha1.TrialEffectFails, "StageFailed"
	switch {
	case target.IsPending(err):
		effect, reason = v1alpha1.TrialEffectHolds, "AwaitsPerson"
	case again(err):
		effect, reason = v1alpha1.TrialEffectUnknown, "NotTried"
	}
	x.found.add("credential", effect, reason, what+": "+err.Error())
}

// remove removes what may have been made, whatever became of ctx.
func (x *run) remove(ctx context.Context, q controller.Rehearsal) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyTime)
	defer cancel()
	if err := discard(ctx, q.Target, x.turn(q)); err != nil {
		x.left(err)
	}
}

// left notes that something could not be removed.
func (x *outcome) left(err error) {
	x.found.add("credential", v1alpha1.TrialEffectUnknown, "NotRemoved", "what the rehearsal made is still there: "+err.Error()+
		"; it is looked for again before a turn begins")
}
